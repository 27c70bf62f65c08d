import ArgumentParser
import BulkheadCore
import BulkheadPolicy

/// `bulkhead policy`: looks at policies offline.
struct PolicyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Check, show and learn policies, without a supervisor.",
        subcommands: [PolicyCheck.self, PolicyShow.self, PolicyLearn.self]
    )
}

/// What the verbs of `policy` take; they talk to nobody.
struct PolicyOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The folder of policies. (default: as the supervisor's)", valueName: "dir"))
    var policies: String?

    @Flag(help: "Print the whole object as one JSON document.")
    var json = false

    @Option(
        help: ArgumentHelp(
            "Taken as every verb takes it, and not used: this works offline.",
            visibility: .hidden
        )
    )
    var socket: String?

    /// The folder of policies, from root.
    func folder() throws -> String {
        let flags: [SettingKey: [String]] = policies.map { [.policies: [$0]] } ?? [:]
        return try SettingSources(flags: flags, isClient: true).read(.policies, PathSetting.self).absolute
    }
}
