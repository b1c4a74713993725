"""A receiver of webhooks: it verifies, deduplicates by webhook-id and answers at
once."""

import base64
import hashlib
import hmac
import os
import queue
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 5 * 60  # seconds
MAX_BODY = 8 << 20
REMEMBER = 100_000  # ids


def signing_key(secret: str) -> bytes:
    """What follows whsec_, decoded, or the literal bytes of a secret without it."""
    if not secret:
        sys.exit("set WEBHOOK_SECRET")
    if secret.startswith("whsec_"):
        return base64.b64decode(secret[len("whsec_"):])
    return secret.encode()


KEY = signing_key(os.environ.get("WEBHOOK_SECRET", ""))
seen: dict[str, None] = {}  # in the order in which they came
lock = threading.Lock()
events: queue.Queue = queue.Queue()


def verified(webhook_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """While a secret is rotated webhook-signature lists several."""
    if not webhook_id or not timestamp.isascii() or not timestamp.isdigit():
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    mac = hmac.new(KEY, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    want = b"v1," + base64.b64encode(mac.digest())
    return any(hmac.compare_digest(given.encode(), want) for given in signatures.split(" "))


def work() -> None:
    """What takes long."""
    while True:
        webhook_id, body = events.get()
        print(f"done {webhook_id} {len(body)} bytes", flush=True)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        webhook_id = self.headers.get("webhook-id", "")
        timestamp = self.headers.get("webhook-timestamp", "")
        if not verified(webhook_id, timestamp, self.headers.get("webhook-signature", ""), body):
            return self.answer(401)
        with lock:
            if webhook_id not in seen:
                seen[webhook_id] = None
                if len(seen) > REMEMBER:
                    del seen[next(iter(seen))]
                events.put((webhook_id, body))
        self.answer(204)  # also for one that is here already: that is success

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_) -> None:
        pass


if __name__ == "__main__":
    host, port = os.environ.get("ADDR", "127.0.0.1:9000").split(":")
    server = ThreadingHTTPServer((host, int(port)), Receiver)
    threading.Thread(target=work, daemon=True).start()
    print(f"listening on http://{host}:{server.server_address[1]}", flush=True)
    server.serve_forever()
