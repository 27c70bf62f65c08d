import Foundation
import Testing

/// Under whom a test's supervisor runs.
enum SupervisorUser {
    /// The user who runs the tests.
    case own
    /// `nobody`, without groups and capabilities; only root can start one.
    case ordinary

    /// The number of `nobody` and of his group.
    static let nobody: UInt32 = 65_534

    /// The program and the arguments that start another program as this user.
    func command(_ program: String, _ arguments: [String]) -> (String, [String]) {
        guard self == .ordinary else { return (program, arguments) }
        let user = ["--reuid=\(Self.nobody)", "--regid=\(Self.nobody)", "--clear-groups", "--inh-caps=-all"]
        return (Self.setpriv, user + [program] + arguments)
    }

    private static let setpriv = "/usr/bin/setpriv"

    static let whyNotOrdinary: Comment =
        "needs root, setpriv, and programs that nobody can execute: without root every supervisor is an ordinary user's"

    /// Whether tests can start supervisors as an ordinary user.
    static let canBeOrdinary: Bool = {
        guard isRoot, FileManager.default.isExecutableFile(atPath: setpriv) else { return false }
        let process = Process()
        let (program, arguments) = Self.ordinary.command(
            "/usr/bin/test",
            ["-x", Workbench.programs + "/bulkhead"]
        )
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}
