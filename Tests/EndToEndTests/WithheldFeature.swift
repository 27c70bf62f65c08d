import BulkheadCore
import Foundation
import Testing

/// Something that the kernel has and a test's supervisor is not to have, as on an older host or in a container.
enum WithheldFeature: String, CaseIterable {
    /// No namespace can be made: `unshare` is refused.
    case namespaces
    /// The kernel knows no Landlock.
    case landlock

    /// The program and the arguments that start another program without these.
    static func command(
        _ program: String,
        _ arguments: [String],
        without features: Set<WithheldFeature>
    ) -> (String, [String]) {
        guard !features.isEmpty else { return (program, arguments) }
        let names = features.map(\.rawValue).sorted().joined(separator: ",")
        return (python, [script, names, program] + arguments)
    }

    private static let python = "/usr/bin/python3"
    private static let script = Workbench.checkout + "/Tests/Fixtures/programs/withhold.py"

    static let whyNot: Comment = "needs python3, and a kernel that lets a filter be installed"

    /// Whether they can be withheld here.
    static let canBeWithheld: Bool = {
        let process = Process()
        let (program, arguments) = command("/bin/true", [], without: Set(allCases))
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}
