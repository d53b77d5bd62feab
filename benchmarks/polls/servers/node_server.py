"""Node's own HTTP server; this process becomes Node."""

from __future__ import annotations

import os
from typing import Final

PROGRAM: Final = """
require("node:http").createServer((request, response) => {
  const pieces = [];
  request.on("data", piece => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces);
    response.writeHead(200, {
      "content-type": "application/octet-stream", "content-length": body.length, "cache-control": "no-store",
    });
    response.end(body);
  });
}).listen(0, "127.0.0.1", 4096, function () {
  console.log("listening on 127.0.0.1:" + this.address().port);
});
"""

if __name__ == "__main__":
    os.execvp("node", ["node", "--eval", PROGRAM])
