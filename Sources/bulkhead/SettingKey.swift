/// Every setting, by the name that it has as a flag and in the config file.
enum SettingKey: String, CaseIterable {
    case plugins
    case policies
    case state
    case scratch
    case listen
    case spoolCap = "spool-cap"
    case terminalReserve = "terminal-reserve"
    case resultLimit = "result-limit"
    case retention
    case retentionTasks = "retention-tasks"
    case outbox
    case onStop = "on-stop"
    case drain
    case dynamicUIDs = "dynamic-uids"
    case tokenFile = "token-file"
    case socketGroup = "socket-group"

    /// The beginning of every environment variable that is a setting.
    static let variablePrefix = "BULKHEAD_"
    /// The variable that names the config file, as the flag `--config` does.
    static let configVariable = "BULKHEAD_CONFIG"

    /// The name of the environment variable.
    var variable: String {
        Self.variablePrefix + rawValue.uppercased().replacing("-", with: "_")
    }

    /// Why a setting that the product will have cannot be set yet; nil for those in force.
    var whyNotInForce: String? {
        switch self {
        case .tokenFile: "there is no TCP listener yet, so no bearer token either"
        default: nil
        }
    }

    /// Whether a value is a path, or holds one.
    var isPath: Bool {
        switch self {
        case .plugins, .policies, .state, .scratch, .tokenFile: true
        default: false
        }
    }
}
