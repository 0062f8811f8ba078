"""Downloads over many TLS connections at once, as a package manager does, with the server's certificate checked.

parallel-downloads.py HOST PORT CONNECTIONS, and the authority's certificate on stdin. Prints the digest of each body.
"""
import hashlib
import socket
import ssl
import sys
import threading

host, port, connections = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cadata=sys.stdin.read())
digests = [""] * connections


def download(number):
    sha256 = hashlib.sha256()
    with socket.create_connection((host, port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname=host) as tls:
            tls.sendall(b"%d\n" % number)
            while data := tls.recv(65536):
                sha256.update(data)
    digests[number] = sha256.hexdigest()


threads = [threading.Thread(target=download, args=(number,)) for number in range(connections)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("\n".join(digests))
