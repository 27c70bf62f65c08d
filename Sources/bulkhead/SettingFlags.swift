import ArgumentParser

/// The settings as flags of `serve`.
struct SettingFlags: ParsableArguments {
    @Option(help: ArgumentHelp("The config file.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The folder of handlers. (default: ./plugins)", valueName: "dir"))
    var plugins: String?

    @Option(help: ArgumentHelp("The folder of policies. (default: ./policies)", valueName: "dir"))
    var policies: String?

    @Option(
        help: ArgumentHelp(
            "The folder of the database and the socket. (default: ./.bulkhead)",
            valueName: "dir"
        )
    )
    var state: String?

    @Option(help: ArgumentHelp("The folder of handlers' working folders.", valueName: "dir"))
    var scratch: String?

    @Option(help: ArgumentHelp("Where to answer; may be repeated.", valueName: "unix:path"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("The group that may use the socket.", valueName: "group"))
    var socketGroup: String?

    @Option(help: ArgumentHelp("How much output is kept. (default: 64MiB)", valueName: "size"))
    var spoolCap: String?

    @Option(
        help: ArgumentHelp(
            "What of it is kept for results before submits are refused. (default: 1MiB)",
            valueName: "size"
        )
    )
    var terminalReserve: String?

    @Option(help: ArgumentHelp("How large a result may be. (default: 64KiB)", valueName: "size"))
    var resultLimit: String?

    @Option(
        help: ArgumentHelp(
            "How long tasks that have ended are kept, or off for ever. (default: 24h)",
            valueName: "duration"
        )
    )
    var retention: String?

    @Option(
        help: ArgumentHelp(
            "How many tasks that have ended are kept, or off for any number. (default: 1000000)",
            valueName: "n"
        )
    )
    var retentionTasks: String?

    @Option(help: ArgumentHelp("How long a stop waits for what runs. (default: 0s)", valueName: "duration"))
    var drain: String?

    @Option(
        help: ArgumentHelp(
            "The users that attempts get, as root. (default: 2000000000-2000065535)",
            valueName: "first-last"
        )
    )
    var dynamicUids: String?

    @Option(
        help: ArgumentHelp(
            "What SIGTERM does with what runs: leave or stop. (default: leave)",
            valueName: "mode"
        )
    )
    var onStop: String?

    @Option(
        help: ArgumentHelp(
            "Whether messages are kept until a controller acknowledges them. (default: off)",
            valueName: "on|off"
        )
    )
    var outbox: String?

    // Known, and refused with the reason as long as they are not in force.
    @Option(help: .hidden) var tokenFile: String?

    /// What was written, by setting.
    /// - Parameter socket: The flag `--socket`, another way to write `--listen`.
    /// - Returns: The texts of each setting that has any.
    func written(socket: String?) -> [SettingKey: [String]] {
        let single: [SettingKey: String?] = [
            .plugins: plugins, .policies: policies, .state: state, .scratch: scratch, .spoolCap: spoolCap,
            .resultLimit: resultLimit, .drain: drain, .dynamicUIDs: dynamicUids, .onStop: onStop,
            .outbox: outbox, .socketGroup: socketGroup, .terminalReserve: terminalReserve,
            .retention: retention, .retentionTasks: retentionTasks, .tokenFile: tokenFile,
        ]
        var written = single.compactMapValues { $0.map { [$0] } }
        let addresses = listen + (socket.map { ["unix:\($0)"] } ?? [])
        if !addresses.isEmpty { written[.listen] = addresses }
        return written
    }
}
