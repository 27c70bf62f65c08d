import BulkheadLaunch
import CLinux
import Glibc

/// Asks the launcher what namespaces this host gives: it makes each of them once, in processes that end with it.
///
/// Not by `Foundation.Process`, whose own bookkeeping is for launchers that live; this child is waited for here.
enum NamespaceProbe {
    /// Nanoseconds that the answer may take; a few milliseconds are usual.
    private static let patience: Int64 = 10_000_000_000
    /// Bytes of an answer.
    private static let answerBytes = 4096

    /// One report for each means, or none where the launcher cannot be asked.
    ///
    /// - Parameter launcher: The path of `bulkhead-launcher`.
    /// - Returns: The reports, the launcher's own rights first.
    static func ask(_ launcher: String) -> [NamespaceReport] {
        var ends: [Int32] = [-1, -1]
        guard unsafe clinux_pipe(&ends, 0) >= 0 else { return [] }
        defer { close(ends[0]) }
        guard let child = spawn(launcher, output: ends[1]) else {
            close(ends[1])
            return []
        }
        close(ends[1])
        let answer = read(ends[0], from: child)
        var ended = clinux_ended()
        guard unsafe clinux_wait(child, 0, &ended) == 0, !ended.signaled, ended.value == 0 else { return [] }
        return answer.split(separator: "\n").compactMap { NamespaceReport(text: String($0)) }
    }

    private static func read(_ pipe: Int32, from child: pid_t) -> String {
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: answerBytes)
        while bytes.count < answerBytes {
            var entry = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            guard unsafe clinux_poll(&entry, 1, patience) > 0 else {
                // Our own child, and not reaped yet.
                _ = kill(child, SIGKILL)
                return ""
            }
            let count = unsafe Glibc.read(pipe, &part, part.count)
            guard count > 0 else { break }
            bytes += part[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func spawn(_ launcher: String, output: Int32) -> pid_t? {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        var arguments = unsafe [strdup(launcher), strdup("probe-namespaces"), nil]
        defer { for index in 0...1 { unsafe free(arguments[index]) } }
        var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
        var child: pid_t = 0
        let result = unsafe posix_spawn(&child, launcher, &actions, nil, &arguments, &environment)
        return result == 0 ? child : nil
    }
}
