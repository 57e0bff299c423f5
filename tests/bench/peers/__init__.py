"""What a user would write without Figway: each a Flask application as its libraries' own documentation has it."""
