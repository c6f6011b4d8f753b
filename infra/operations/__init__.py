"""What is done to a stack that stands: rolling it out, and moving who serves. Nothing of it is part of the program."""
