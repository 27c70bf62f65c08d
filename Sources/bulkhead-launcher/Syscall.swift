import BulkheadLaunch
import CLinux
import Glibc

/// A launch that failed before the handler's first instruction: where, why, and about what.
struct Refusal: Error {
    var stage: LaunchStage
    var errno: Int32
    var detail: String
    /// The step on the way into namespaces at which it failed.
    var step: NamespaceStep?
}

/// A result of CLinux as a value, or the refusal that its negated errno means.
@discardableResult
func check(_ result: Int32, _ stage: LaunchStage, _ detail: String) throws(Refusal) -> Int32 {
    guard result >= 0 else { throw Refusal(stage: stage, errno: -result, detail: detail) }
    return result
}

/// A file descriptor that is closed when its owner lets go of it.
struct Descriptor: ~Copyable {
    let number: Int32

    init(_ number: Int32) {
        self.number = number
    }

    /// The number, which is then its taker's to close.
    consuming func release() -> Int32 {
        let released = number
        discard self
        return released
    }

    deinit {
        _ = close(number)
    }
}

/// Both ends of a pipe.
struct Pipe: ~Copyable {
    let read: Descriptor
    let write: Descriptor

    init(_ detail: String) throws(Refusal) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe clinux_pipe(raw.assumingMemoryBound(to: Int32.self).baseAddress, 0)
        }
        try check(result, .fork, detail)
        read = Descriptor(ends.0)
        write = Descriptor(ends.1)
    }
}

/// What the launcher ignores, and its children must not.
let ignoredSignals = [SIGINT, SIGTERM, SIGHUP, SIGPIPE]

/// Nanoseconds of the monotonic clock.
func monotonicNow() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Memory into which everything is read before it is copied to its size: no read zeroes 64 KiB anew.
@safe struct ReadBuffer: ~Copyable {
    private let memory: UnsafeMutableRawPointer
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    }

    deinit {
        unsafe memory.deallocate()
    }

    /// What one `read` gave: empty at the end, nil where it failed and `errno` says why.
    borrowing func read(_ descriptor: Int32, limit: Int) -> [UInt8]? {
        let count = unsafe Glibc.read(descriptor, memory, min(limit, capacity))
        guard count >= 0 else { return nil }
        return unsafe Array(UnsafeRawBufferPointer(start: memory, count: count))
    }

    /// One packet and its descriptors, which are the caller's; the result is 0 or a negated errno.
    borrowing func receive(_ socket: Int32) -> (result: Int32, packet: clinux_packet, bytes: [UInt8]) {
        var packet = clinux_packet()
        let result = unsafe clinux_receive_packet(socket, memory, capacity, Int32(MSG_DONTWAIT), &packet)
        guard result == 0 else { return (result, packet, []) }
        return (0, packet, unsafe Array(UnsafeRawBufferPointer(start: memory, count: packet.count)))
    }
}

/// The content of a small file, at most 64 KiB of it; nil if it cannot be read.
func smallFile(_ path: String, _ buffer: borrowing ReadBuffer) -> [UInt8]? {
    let opened = unsafe clinux_openat(AT_FDCWD, path, O_RDONLY, 0)
    guard opened >= 0 else { return nil }
    let file = Descriptor(opened)
    var content: [UInt8] = []
    while let part = buffer.read(file.number, limit: buffer.capacity) {
        if part.isEmpty { return content }
        content += part
        if content.count >= 1 << 20 { return content }
    }
    return nil
}

/// Writes a short text to a file of the kernel's; 0 or the negated errno.
func writeSmallFile(_ path: String, _ text: String) -> Int32 {
    let opened = unsafe clinux_openat(AT_FDCWD, path, O_WRONLY, 0)
    guard opened >= 0 else { return opened }
    let file = Descriptor(opened)
    let written = unsafe write(file.number, text, text.utf8.count)
    return written < 0 ? -errno : 0
}

/// A sentence on the launcher's stderr, which is the supervisor's.
func complain(_ sentence: String) {
    let line = "bulkhead-launcher: \(sentence)\n"
    _ = unsafe write(STDERR_FILENO, line, line.utf8.count)
}
