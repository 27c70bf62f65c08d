import BulkheadCore
import BulkheadPolicy
import Configuration

/// One of the places in which settings are written.
struct SettingSource {
    /// What was written for a key, and where.
    struct Entry {
        /// The name as it is written there, such as `BULKHEAD_STATE`.
        var name: String
        /// The value's text; a list has one for each element.
        var texts: [String]
        /// Where, for people: `environment`, or a file with line and column.
        var place: String

        /// The beginning of every message about it: name, value and source.
        var citation: String { "\(name)=\(texts.joined(separator: ",").cut(toBytes: 256)) (\(place))" }
    }

    let entries: [SettingKey: Entry]
    let provider: any ConfigProvider

    /// The component before every key, so that the environment's names get their prefix.
    static let scope = "bulkhead"

    /// What the flags say.
    static func flags(_ values: [SettingKey: [String]]) -> SettingSource {
        let entries = values.filter { !$0.value.isEmpty }.map { key, texts in
            (key, Entry(name: "--\(key.rawValue)", texts: texts, place: "flag"))
        }
        return SettingSource(named: "flags", Dictionary(uniqueKeysWithValues: entries))
    }

    /// What holds where nothing is written.
    static func defaults(_ values: [SettingKey: String]) -> SettingSource {
        let entries = values.map { ($0, Entry(name: $0.rawValue, texts: [$1], place: "default")) }
        return SettingSource(named: "defaults", Dictionary(uniqueKeysWithValues: entries))
    }

    /// What the environment says; names that begin like ours and that nobody knows are refused.
    static func environment(_ environment: [String: String]) throws(BulkheadError) -> SettingSource {
        let ours = Self.settings(of: environment)
        let known = Set(SettingKey.allCases.map(\.variable) + [SettingKey.configVariable])
        for (name, value) in ours.sorted(by: { $0.key < $1.key }) where !known.contains(name) {
            let entry = Entry(name: name, texts: [value], place: "environment")
            throw unknown(entry, nearest: nearest(name, among: known))
        }
        let entries = SettingKey.allCases.compactMap { key in
            ours[key.variable].map { (key, Entry(name: key.variable, texts: [$0], place: "environment")) }
        }
        return SettingSource(
            entries: Dictionary(uniqueKeysWithValues: entries),
            provider: EnvironmentVariablesProvider(environmentVariables: ours)
        )
    }

    /// The variables that are meant as settings.
    ///
    /// A handler's environment has names of the handler protocol, one of which is a setting's name too; a
    /// command that a handler runs must not take them for settings.
    private static func settings(of environment: [String: String]) -> [String: String] {
        let isHandler = environment["BULKHEAD_TASK_ID"] != nil && environment["BULKHEAD_EVENTS_FD"] != nil
        return environment.filter { name, _ in
            name.hasPrefix(SettingKey.variablePrefix) && !(isHandler && protocolVariables.contains(name))
        }
    }

    private static let protocolVariables: Set<String> = [
        "BULKHEAD_TASK_ID", "BULKHEAD_TASK_TYPE", "BULKHEAD_RUN", "BULKHEAD_ATTEMPT", "BULKHEAD_SCRATCH",
        "BULKHEAD_EVENTS_FD", "BULKHEAD_PLUGIN_DIR", "BULKHEAD_DEADLINE",
    ]

    /// The right name, by what comes behind the beginning that all of them share.
    private static func nearest(_ name: String, among known: Set<String>) -> String? {
        let start = SettingKey.variablePrefix
        return NearestWord.of(
            String(name.dropFirst(start.count)),
            among: known.map { String($0.dropFirst(start.count)) }
        )
        .map { start + $0 }
    }

    /// The error for a name that nobody knows.
    static func unknown(_ entry: Entry, nearest: String?) -> BulkheadError {
        let question = nearest.map { "; did you mean \($0)?" } ?? ""
        return BulkheadError(.invalidSetting, "\(entry.citation): no setting has this name\(question)")
    }

    init(named name: String, _ entries: [SettingKey: Entry]) {
        let values = entries.map { key, entry in (key.absolute, key.value(entry.texts)) }
        self.entries = entries
        provider = InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: values))
    }

    private init(entries: [SettingKey: Entry], provider: any ConfigProvider) {
        self.entries = entries
        self.provider = provider
    }
}

extension SettingKey {
    /// The key within our scope.
    var key: ConfigKey { ConfigKey([rawValue]) }

    fileprivate var absolute: AbsoluteConfigKey { AbsoluteConfigKey([SettingSource.scope, rawValue]) }

    fileprivate func value(_ texts: [String]) -> ConfigValue {
        let content: ConfigContent =
            self == .listen ? .stringArray(texts) : .string(texts.joined(separator: ","))
        return ConfigValue(content, isSecret: false)
    }
}
