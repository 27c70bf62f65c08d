import BulkheadCore
import BulkheadEngine
import Configuration
import Foundation

/// What the supervisor runs with: each value from flag, environment, config file or default, in this order.
struct Settings {
    var plugins: String
    var policies: String
    var state: String
    var scratch: String?
    var listen: [SocketSetting]
    var spoolCap: Int64
    var terminalReserve: Int64
    var resultLimit: Int
    var outboxIsOn: Bool
    var drain: Duration
    var retention: RetentionRule
    var onStop: StopMode
    var dynamicUsers: ClosedRange<UInt32>
    var socketGroup: String?

    /// Bytes of the largest `result-limit`: an event line travels in one packet between launcher and supervisor.
    static let largestResult: Int64 = 188 << 10

    /// Reads and checks every setting.
    /// - Parameter sources: Where they are written.
    /// - Throws: ``BulkheadError`` with name, value, source and what would be right.
    init(_ sources: SettingSources) throws(BulkheadError) {
        try sources.refuseWhatIsNotInForce()
        plugins = try sources.read(.plugins, PathSetting.self).absolute
        policies = try sources.read(.policies, PathSetting.self).absolute
        state = try sources.read(.state, PathSetting.self).absolute
        scratch = try sources.readIfWritten(.scratch, PathSetting.self)?.absolute
        listen = try sources.listen(state: state)
        spoolCap = try sources.read(.spoolCap, SizeSetting.self).bytes
        terminalReserve = try sources.read(.terminalReserve, SizeSetting.self) { size in
            size.bytes > 0 ? nil : "the terminal reserve is more than nothing"
        }.bytes
        resultLimit = Int(
            try sources.read(.resultLimit, SizeSetting.self) { size in
                guard (1...Self.largestResult).contains(size.bytes) else {
                    return "a result has from 1B to \(Quantities.text(bytes: Self.largestResult))"
                }
                return nil
            }.bytes
        )
        drain = try sources.read(.drain, DurationSetting.self).duration
        retention = RetentionRule(
            age: try sources.read(.retention, RetentionSetting.self).age,
            tasks: try sources.read(.retentionTasks, RetentionTasksSetting.self).tasks
        )
        dynamicUsers = try sources.read(.dynamicUIDs, UserRange.self).range
        socketGroup = try sources.readIfWritten(.socketGroup, GroupSetting.self)?.name
        outboxIsOn = try sources.read(.outbox, OutboxSetting.self).isOn
        onStop = try sources.read(.onStop, OnStopSetting.self).mode
        try check(sources)
    }

    /// What one value alone cannot tell.
    private func check(_ sources: SettingSources) throws(BulkheadError) {
        if let mismatch = SpoolRoom.mismatch(
            cap: spoolCap,
            terminalReserve: terminalReserve,
            resultLimit: resultLimit
        ) {
            let key = [SettingKey.spoolCap, .terminalReserve, .resultLimit].first(where: sources.isWritten)
            throw sources.error(
                key ?? .spoolCap,
                BulkheadError(
                    .invalidSetting,
                    "\(mismatch); spool-cap is \(Quantities.text(bytes: spoolCap))"
                )
            )
        }
        guard let scratch else { return }
        for closed in [state, "/run"] where PathName(scratch).isIn(PathName(closed)) {
            throw sources.error(
                .scratch,
                BulkheadError(
                    .invalidSetting,
                    "handlers cannot run from below \(closed)",
                    advice: closed == state
                        ? "the state folder is closed to other users" : "it is memory, and often noexec"
                )
            )
        }
    }
}

/// Every place in which settings are written, the strongest first.
struct SettingSources {
    private let sources: [SettingSource]
    private let reader: ConfigReader
    /// Whether a service's defaults hold.
    let isService: Bool

    /// The name of the socket within the state folder.
    static let socketName = "bulkhead.sock"
    /// The socket of a service.
    static let serviceSocket = "/run/bulkhead/" + socketName

    /// Collects the sources.
    /// - Parameters:
    ///   - flags: What the command line says.
    ///   - config: The flag `--config`.
    ///   - isClient: Whether they are read only to find the supervisor.
    ///   - environment: The process's environment.
    /// - Throws: ``BulkheadError`` for a name that nobody knows, or a config file that cannot be taken.
    init(
        flags: [SettingKey: [String]] = [:],
        config: String? = nil,
        isClient: Bool = false,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(BulkheadError) {
        let variables = try SettingSource.environment(environment)
        let file = try ConfigFile.find(
            named: config ?? environment[SettingKey.configVariable],
            isClient: isClient
        )
        isService = file?.isService ?? (FileManager.default.currentDirectoryPath == "/")
        let defaults = SettingSource.defaults(isService ? Self.serviceDefaults : Self.userDefaults)
        sources = [.flags(flags), variables] + (file.map { [$0.source] } ?? []) + [defaults]
        reader = ConfigReader(providers: sources.map(\.provider)).scoped(to: ConfigKey([SettingSource.scope]))
    }

    private static let commonDefaults: [SettingKey: String] = [
        .spoolCap: "64MiB", .terminalReserve: "1MiB",
        .resultLimit: Quantities.text(bytes: Int64(Limits.resultBytes)), .drain: "0s",
        .retention: "24h", .retentionTasks: "1000000",
        .dynamicUIDs: "2000000000-2000065535", .outbox: "off", .onStop: "leave",
    ]
    private static let userDefaults = commonDefaults.merging(
        [.plugins: "./plugins", .policies: "./policies", .state: "./.bulkhead"]
    ) { $1 }
    private static let serviceDefaults = commonDefaults.merging(
        [
            .plugins: ConfigFile.serviceFolder + "/plugins",
            .policies: ConfigFile.serviceFolder + "/policies",
            .state: "/var/lib/bulkhead",
        ]
    ) { $1 }

    /// Reads a setting that has a default.
    func read<Value: SettingValue>(
        _ key: SettingKey,
        _ type: Value.Type,
        refusal: (Value) -> String? = { _ in nil }
    ) throws(BulkheadError) -> Value {
        let value: Value
        do {
            value = try reader.requiredString(forKey: key.key, as: type)
        } catch {
            throw explained(error, key, type)
        }
        if let reason = refusal(value) { throw self.error(key, BulkheadError(.invalidSetting, reason)) }
        return value
    }

    /// Reads a setting without a default.
    func readIfWritten<Value: SettingValue>(
        _ key: SettingKey,
        _ type: Value.Type
    ) throws(BulkheadError) -> Value? {
        isWritten(key) ? try read(key, type) : nil
    }

    /// The addresses that are written, else the one socket that follows from the state folder.
    func listen(state: String) throws(BulkheadError) -> [SocketSetting] {
        guard isWritten(.listen) else {
            return [SocketSetting(path: isService ? Self.serviceSocket : state + "/" + Self.socketName)]
        }
        do {
            let addresses = try reader.requiredStringArray(
                forKey: SettingKey.listen.key,
                as: SocketSetting.self
            )
            guard !addresses.isEmpty else {
                throw error(.listen, BulkheadError(.invalidSetting, "the list of addresses is empty"))
            }
            return addresses
        } catch let error as BulkheadError {
            throw error
        } catch {
            throw explained(error, .listen, SocketSetting.self)
        }
    }

    /// Whether a key is written anywhere but in the defaults.
    func isWritten(_ key: SettingKey) -> Bool {
        sources.dropLast().contains { $0.entries[key] != nil }
    }

    /// Refuses settings that the product will have, rather than ignore them.
    func refuseWhatIsNotInForce() throws(BulkheadError) {
        for key in SettingKey.allCases where isWritten(key) {
            guard let reason = key.whyNotInForce else { continue }
            throw error(key, BulkheadError(.invalidSetting, "\(reason)", advice: "leave the setting out"))
        }
    }

    /// An error about a setting, with its name, value and source before it.
    func error(_ key: SettingKey, _ error: BulkheadError) -> BulkheadError {
        guard let entry = sources.lazy.compactMap({ $0.entries[key] }).first else { return error }
        let advice = error.advice.map { "; \($0)" } ?? ""
        return BulkheadError(.invalidSetting, "\(entry.citation): \(error.message)\(advice)")
    }

    /// The library says only that a value could not be converted; the value's own type says why.
    private func explained<Value: SettingValue>(
        _ failure: any Error,
        _ key: SettingKey,
        _ type: Value.Type
    ) -> BulkheadError {
        for text in sources.lazy.compactMap({ $0.entries[key]?.texts }).first ?? [] {
            for part in key == .listen ? text.split(separator: ",").map(String.init) : [text] {
                do {
                    _ = try Value(setting: part)
                } catch {
                    return self.error(key, error)
                }
            }
        }
        return error(key, BulkheadError(.internal, "\(failure)"))
    }
}
