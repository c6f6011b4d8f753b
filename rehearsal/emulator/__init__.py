"""The AWS API of a rehearsal: moto's server with what it leaves out, one concept per module."""
