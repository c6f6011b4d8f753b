"""The one account and the main region of the emulated AWS."""

ACCOUNT = "123456789012"
REGION = "us-east-1"
