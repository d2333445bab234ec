"""The first user's application, as far as routing asks it: the API behind the RewriteMap script, with the owner added, and
the session. Containers are the JSON object in the first argument; prints {"port": N} once it listens."""

import json
import sys

from flask import Flask, jsonify, request, session
from werkzeug.serving import make_server

app = Flask(__name__)
app.secret_key = "the application's secret"
containers = json.loads(sys.argv[1])


@app.route("/")
def portal():
    return "the portal"


@app.route("/start/<proxy_path>")
def start(proxy_path):
    session["current_container"] = proxy_path
    return "started"


@app.route("/api/apache/container-target/<path:proxy_path>")
def container_target(proxy_path):
    if request.headers.get("X-API-Key") != "the API's key":
        return jsonify(error="Unauthorized"), 401
    return jsonify(containers.get(proxy_path.lower()))


server = make_server("127.0.0.1", 0, app, threaded=True)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
