/*
 * What tests do inside a network namespace.
 *
 *   netprobe raw IFACE   sends each line of standard input, a frame in hexadecimal, and prints each frame that arrives as a line
 *   netprobe echo PORT   answers TCP and UDP on all addresses with what it receives
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME = 65536 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void send_line(int fd, const char *line) {
  static unsigned char frame[FRAME];
  size_t length = 0;
  unsigned byte;
  while (length < sizeof frame && sscanf(line + 2 * length, "%2x", &byte) == 1) frame[length++] = (unsigned char)byte;
  if (send(fd, frame, length, 0) < 0) fail("send");
  printf("sent\n");
}

static void receive_frame(int fd) {
  static unsigned char frame[FRAME];
  struct sockaddr_ll from;
  socklen_t size = sizeof from;
  ssize_t length = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
  if (length < 0) fail("recvfrom");
  if (from.sll_pkttype == PACKET_OUTGOING) return;
  for (ssize_t at = 0; at < length; at++) printf("%02x", frame[at]);
  printf("\n");
}

/* Sends all lines that have come. A line may come in parts, and several may come at once. */
static void send_lines(int fd) {
  static char text[4 * FRAME];
  static size_t length;
  ssize_t read_now = read(0, text + length, sizeof text - length - 1);
  if (read_now <= 0) exit(0);
  length += (size_t)read_now;
  text[length] = 0;
  char *line = text;
  for (char *end; (end = strchr(line, '\n')); line = end + 1) {
    *end = 0;
    send_line(fd, line);
  }
  length -= (size_t)(line - text);
  memmove(text, line, length);
}

static void raw(const char *name) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct sockaddr_ll here = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0) fail(name);
  printf("ready\n");
  for (;;) {
    struct pollfd both[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (poll(both, 2, -1) < 0) fail("poll");
    if (both[0].revents) receive_frame(fd);
    if (both[1].revents) send_lines(fd);
  }
}

static int open_port(int type, int port) {
  int fd = socket(AF_INET6, type, 0), off = 0, on = 1;
  struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0) fail("bind");
  if (type == SOCK_STREAM && listen(fd, 64) < 0) fail("listen");
  return fd;
}

static void answer_stream(int fd) {
  char bytes[4096];
  ssize_t length;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  close(0);
  close(1);
  while ((length = read(fd, bytes, sizeof bytes)) > 0)
    if (write(fd, bytes, (size_t)length) < 0) break;
  _exit(0);
}

/* The answer comes from the address that was asked. */
static void answer_datagram(int fd) {
  char bytes[4096], control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
  struct sockaddr_in6 from;
  struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
  struct msghdr message = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t length = recvmsg(fd, &message, 0);
  if (length < 0) return;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header) ((struct in6_pktinfo *)CMSG_DATA(header))->ipi6_ifindex = 0;
  part.iov_len = (size_t)length;
  sendmsg(fd, &message, 0);
}

static void echo(int port) {
  int tcp = open_port(SOCK_STREAM, port), udp = open_port(SOCK_DGRAM, port);
  int on = 1;
  setsockopt(udp, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  signal(SIGCHLD, SIG_IGN);
  printf("ready\n");
  for (;;) {
    /* The end of standard input is the end of the test. */
    struct pollfd all[] = {{.fd = tcp, .events = POLLIN}, {.fd = udp, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    if (poll(all, 3, -1) < 0) continue;
    if (all[2].revents) exit(0);
    if (all[0].revents) {
      int peer = accept(tcp, NULL, NULL);
      if (peer >= 0 && fork() == 0) answer_stream(peer);
      close(peer);
    }
    if (all[1].revents) answer_datagram(udp);
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 3 && strcmp(argv[1], "raw") == 0) raw(argv[2]);
  if (argc == 3 && strcmp(argv[1], "echo") == 0) echo(atoi(argv[2]));
  fprintf(stderr, "netprobe raw IFACE | netprobe echo PORT\n");
  return 2;
}
