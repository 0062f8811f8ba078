"""What a container serves in tests of its network: HTTP on port 80 and a UDP echo on port 53, by IPv4 and IPv6.

GET /N answers N bytes, the same ones each time; GET /sha256/N answers their digest. It uses only modules of a minimal Python.
"""
import hashlib
import socket
import threading

BLOCK = hashlib.shake_128(b"paddock").digest(1 << 20)


def pieces(size):
    while size > 0:
        yield BLOCK[:size]
        size -= len(BLOCK)


def digest(size):
    sha256 = hashlib.sha256()
    for piece in pieces(size):
        sha256.update(piece)
    return sha256.hexdigest().encode()


def answer(connection):
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            if not data:
                return
            request += data
        path = request.split()[1].decode().split("/")
        size = int(path[-1])
        is_digest = path[1] == "sha256"
        length = 64 if is_digest else size
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
        for piece in [digest(size)] if is_digest else pieces(size):
            connection.sendall(piece)


def echo():
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::", 53))
    while True:
        data, peer = udp.recvfrom(65536)
        udp.sendto(data, peer)


server = socket.create_server(("::", 80), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
threading.Thread(target=echo, daemon=True).start()
while True:
    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
