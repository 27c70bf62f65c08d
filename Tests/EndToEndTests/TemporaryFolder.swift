import Foundation
import Glibc

/// A folder of a test's own, removed with it.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = "/tmp/bulkhead-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        unsafe chmod(path, 0o755)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }

    func file(_ name: String, _ bytes: [UInt8], mode: mode_t = 0o644) throws -> String {
        let file = "\(path)/\(name)"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        unsafe chmod(file, mode)
        return file
    }

    /// A file that can be executed at once.
    ///
    /// Another process writes it: what this one has open for writing, a child that a test beside it forks at that
    /// moment has open too, and until its exec the file is busy (ETXTBSY in execve(2)).
    func program(_ name: String, _ bytes: [UInt8]) throws -> String {
        let draft = try file("draft-" + UUID().uuidString, bytes)
        let program = "\(path)/\(name)"
        let install = try Process.run(
            URL(fileURLWithPath: "/usr/bin/install"),
            arguments: ["-m", "755", draft, program]
        )
        install.waitUntilExit()
        guard install.terminationStatus == 0 else { throw POSIXError(.EIO) }
        return program
    }
}
