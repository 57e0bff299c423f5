"""The yardstick: Flask's own first example, with JSON."""

from flask import Flask

app = Flask("hello")


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
