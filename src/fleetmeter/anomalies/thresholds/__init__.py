"""What can be configured of the rules, and which value is in force where."""
