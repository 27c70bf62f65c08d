import BulkheadCore
import BulkheadEngine
import Configuration
import Foundation

/// A setting's value, which says itself what is wrong with a text.
protocol SettingValue: ExpressibleByConfigString {
    init(setting text: String) throws(BulkheadError)
}

extension SettingValue {
    init?(configString: String) {
        guard let value = try? Self(setting: configString) else { return nil }
        self = value
    }
}

/// A file or folder.
struct PathSetting: SettingValue {
    /// From the root, without `.` and doubled slashes.
    let absolute: String
    var description: String { absolute }

    init(setting text: String) throws(BulkheadError) {
        guard !text.isEmpty, !text.utf8.contains(0) else {
            throw BulkheadError(.invalidSetting, "a path is missing")
        }
        absolute = Self.absolute(text, below: FileManager.default.currentDirectoryPath)
    }

    /// The path from the root: `..` stays, since only the file system knows what is above a link.
    static func absolute(_ path: String, below folder: String) -> String {
        let whole = PathName(path).isAbsolute ? path : folder + "/" + path
        let parts = PathName(whole).parts.filter { $0 != "." }
        return "/" + parts.joined(separator: "/")
    }
}

/// A number of bytes.
struct SizeSetting: SettingValue {
    let bytes: Int64
    var description: String { Quantities.text(bytes: bytes) }

    init(setting text: String) throws(BulkheadError) { bytes = try Quantities.bytes(text) }
}

/// A length of time.
struct DurationSetting: SettingValue {
    let duration: Duration
    var description: String { Quantities.text(duration) }

    init(setting text: String) throws(BulkheadError) { duration = try Quantities.duration(text) }
}

/// How long terminal tasks are kept; `off` is for ever.
struct RetentionSetting: SettingValue {
    let age: Duration?
    var description: String { age.map(Quantities.text) ?? "off" }

    init(_ age: Duration?) { self.age = age }

    init(setting text: String) throws(BulkheadError) {
        guard text != "off" else {
            age = nil
            return
        }
        let duration = try Quantities.duration(text)
        // Elsewhere 0 means "no limit", and here it could as well mean "keep nothing".
        guard duration > .zero else {
            throw BulkheadError(
                .invalidSetting,
                "a task is kept for some time after its end",
                advice: "write off to keep tasks until they are removed, or a time such as 1s"
            )
        }
        age = duration
    }
}

/// How many terminal tasks are kept; `off` is any number.
struct RetentionTasksSetting: SettingValue {
    let tasks: Int?
    var description: String { tasks.map(String.init) ?? "off" }

    init(_ tasks: Int?) { self.tasks = tasks }

    init(setting text: String) throws(BulkheadError) {
        guard text != "off" else {
            tasks = nil
            return
        }
        guard let number = Int(text), number > 0 else {
            throw BulkheadError(
                .invalidSetting,
                "\"\(text.prefix(64))\" is no number of tasks",
                advice: "write a whole number from 1 on, or off to keep any number"
            )
        }
        tasks = number
    }
}

/// Where the supervisor answers.
struct SocketSetting: SettingValue, Equatable {
    /// The socket's path from the root.
    let path: String
    var description: String { "unix:\(path)" }

    private static let scheme = "unix:"

    init(path: String) { self.path = path }

    init(setting text: String) throws(BulkheadError) {
        guard text.hasPrefix(Self.scheme) else {
            throw BulkheadError(
                .invalidSetting,
                text.contains(":")
                    ? "listening on TCP is not there yet" : "\"\(text.prefix(64))\" is no address",
                advice: "write unix:PATH"
            )
        }
        path = try PathSetting(setting: String(text.dropFirst(Self.scheme.count))).absolute
    }

    /// The same address where a relative path is below a folder; other texts as they are.
    static func placed(_ text: String, below folder: String) -> String {
        guard text.hasPrefix(scheme), text.utf8.count > scheme.utf8.count else { return text }
        return scheme + PathSetting.absolute(String(text.dropFirst(scheme.count)), below: folder)
    }
}

/// The numbers from which each attempt gets a user of its own.
struct UserRange: SettingValue {
    let range: ClosedRange<UInt32>
    var description: String { "\(range.lowerBound)-\(range.upperBound)" }

    /// Below are the system's and people's users, above is -1, which means "no change" to Linux.
    private static let allowed: ClosedRange<UInt32> = 1_000...4_294_967_294
    /// The number by which Linux shows users that it cannot map (user_namespaces(7)).
    private static let overflow: UInt32 = 65_534

    init(setting text: String) throws(BulkheadError) {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt32($0) }
        guard ends.count == 2, let low = ends[0], let high = ends[1], low <= high else {
            throw BulkheadError(
                .invalidSetting,
                "\"\(text.prefix(64))\" is not a range of user numbers",
                advice: "write FIRST-LAST, such as 2000000000-2000065535"
            )
        }
        range = low...high
        guard Self.allowed.contains(low), Self.allowed.contains(high), !range.contains(Self.overflow) else {
            throw BulkheadError(
                .invalidSetting,
                "the range \(text) holds users that are not ours to give",
                advice: "stay within 1000 and 4294967294, and leave out \(Self.overflow)"
            )
        }
    }
}

/// The group that may use the socket, by name or number.
struct GroupSetting: SettingValue {
    let name: String
    var description: String { name }

    init(setting text: String) throws(BulkheadError) {
        guard !text.isEmpty, !text.contains(where: { $0 == ":" || $0.isWhitespace || $0 == "\0" }) else {
            throw BulkheadError(.invalidSetting, "\"\(text.prefix(64))\" is not a group's name")
        }
        name = text
    }
}

/// Whether messages are kept until a controller acknowledges them.
struct OutboxSetting: SettingValue {
    let isOn: Bool

    var description: String { isOn ? "on" : "off" }

    init(setting text: String) throws(BulkheadError) {
        guard text == "on" || text == "off" else {
            throw BulkheadError(.invalidSetting, "\"\(text.prefix(64))\" is neither on nor off")
        }
        isOn = text == "on"
    }
}

/// What SIGTERM does with running attempts.
struct OnStopSetting: SettingValue {
    let mode: StopMode

    var description: String { mode.rawValue }

    init(setting text: String) throws(BulkheadError) {
        guard let mode = StopMode(rawValue: text) else {
            throw BulkheadError(.invalidSetting, "\"\(text.prefix(64))\" is neither stop nor leave")
        }
        self.mode = mode
    }
}
