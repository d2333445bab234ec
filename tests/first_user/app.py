"""The first user's kind of application: Flask on gevent with gevent-websocket. It logs each request as one JSON line on
standard output, echoes WebSocket messages on /echo, and prints {"port": N} once it listens."""

import json

from flask import Flask, request
from gevent import pywsgi
from geventwebsocket.handler import WebSocketHandler

app = Flask(__name__)


@app.before_request
def log():
    names = ("Upgrade", "Connection", "Referer", "Cookie", "Host")
    print(json.dumps({"path": request.full_path} | {name: request.headers.get(name) for name in names}), flush=True)


@app.route("/")
def index():
    return "a plain page"


@app.route("/echo")
@app.route("/echo", websocket=True)  # Werkzeug matches upgrades against rules of their own
def echo():
    socket = request.environ.get("wsgi.websocket")
    if socket is None:
        return "Upgrade Required", 426
    while (message := socket.receive()) is not None:
        socket.send(message)
    return ""


if __name__ == "__main__":
    server = pywsgi.WSGIServer(("127.0.0.1", 0), app, handler_class=WebSocketHandler, log=None)
    server.start()
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
