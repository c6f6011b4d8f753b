"""The command `vectorfleet`, and what every verb of it shares. No part of the project is imported here by itself."""
