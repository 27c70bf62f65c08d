import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadSandbox
import Synchronization

/// The OCI profiles that lie beside the policies, and which of them a reading has asked for.
final class ProfileFolder: Sendable {
    private let folder: String
    /// The folder's own name, as users know it.
    private let shown: String
    private let opened = Mutex<[String: [UInt8]?]>([:])

    init(_ folder: String, shown: String) {
        self.folder = folder
        self.shown = shown
    }

    /// Gives policies their profiles, which obey the rule of owner and mode that policies obey.
    var source: ProfileSource {
        ProfileSource(host: .running) { [self] name throws(BulkheadError) in
            opened.withLock { $0[name] = .some(nil) }
            let bytes = try PathRules.readFile("\(folder)/\(name)", limit: Limits.profileBytes)
            opened.withLock { $0[name] = bytes }
            return ProfileSource.File(shown: "\(shown)/\(name)", bytes: bytes)
        }
    }

    /// Whether every file that was asked for could be read and is still the same.
    var isUnchanged: Bool {
        opened.withLock(\.self).allSatisfy { name, bytes in
            guard let bytes else { return false }
            return (try? PathRules.readFile("\(folder)/\(name)", limit: Limits.profileBytes)) == bytes
        }
    }
}
