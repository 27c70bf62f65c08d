#define _GNU_SOURCE

#include "clinux.h"
#include "result.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int packet_socket(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return made < 0 ? -errno : made;
}

int clinux_packet_listen(const char *path, int backlog) {
    struct sockaddr_un address;
    int made = packet_socket(path, &address);
    if (made < 0) return made;
    if (bind(made, (struct sockaddr *)&address, sizeof address) < 0 || listen(made, backlog) < 0) {
        int error = errno;
        close(made);
        return -error;
    }
    return made;
}

int clinux_packet_connect(const char *path) {
    struct sockaddr_un address;
    int made = packet_socket(path, &address);
    if (made < 0) return made;
    if (connect(made, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(made);
        return -error;
    }
    return made;
}

int clinux_packet_pair(int ends[2]) {
    return (int)result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
}

int clinux_peer_credentials(int socket, struct clinux_credentials *credentials) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    credentials->pid = peer.pid;
    credentials->uid = peer.uid;
    credentials->gid = peer.gid;
    return 0;
}

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(CLINUX_PACKET_DESCRIPTORS * sizeof(int))];
};

ssize_t clinux_send_packet(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count, int flags
) {
    if (descriptor_count > CLINUX_PACKET_DESCRIPTORS) return -EINVAL;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union control control;
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, descriptor_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return result(sent);
}

static void take_descriptors(struct msghdr *message, struct clinux_packet *packet) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(packet->descriptors, CMSG_DATA(header), count * sizeof(int));
        packet->descriptor_count = count;
    }
}

int clinux_receive_packet(int socket, void *buffer, size_t capacity, int flags, struct clinux_packet *packet) {
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    union control control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    memset(packet, 0, sizeof *packet);
    ssize_t received;
    do {
        received = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    take_descriptors(&message, packet);
    packet->count = (size_t)received;
    packet->end = received == 0;
    packet->bytes_truncated = message.msg_flags & MSG_TRUNC;
    packet->descriptors_truncated = message.msg_flags & MSG_CTRUNC;
    return 0;
}
