import BulkheadCore
import Foundation

/// The small program between supervisor and handlers.
enum LauncherProgram {
    private static let name = "bulkhead-launcher"

    /// Where it is: beside our own executable, wherever that was called from.
    static func path() throws(BulkheadError) -> String {
        let files = FileManager.default
        guard let own = try? files.destinationOfSymbolicLink(atPath: "/proc/self/exe") else {
            throw BulkheadError(.host, "/proc/self/exe cannot be read", advice: "mount /proc")
        }
        let path = own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/" + name
        guard files.isExecutableFile(atPath: path) else {
            throw BulkheadError(
                .host,
                "the program \(name) is missing: no handler can be started without it",
                advice: "install it beside bulkhead, as \(path)"
            )
        }
        return path
    }
}
