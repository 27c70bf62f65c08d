import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import Foundation

/// The config file: found, trusted, and read as strictly as a policy.
struct ConfigFile {
    /// The folder of a service's files.
    static let serviceFolder = "/etc/bulkhead"
    /// Where the file is looked for when nobody names it.
    static let usualPlaces = ["./bulkhead.yaml", serviceFolder + "/bulkhead.yaml"]

    let source: SettingSource
    /// Whether it lies where a service's does; then a service's defaults hold.
    let isService: Bool

    /// Reads the file that was named, else the first that is there.
    /// - Parameters:
    ///   - named: The flag's or the variable's path.
    ///   - isClient: Whether a service's file that we may not read is passed over: its socket is in a usual place.
    /// - Returns: The file; nil where none was named and none is there.
    /// - Throws: ``BulkheadError`` with file, line and column, for all that is wrong.
    static func find(named: String?, isClient: Bool) throws(BulkheadError) -> ConfigFile? {
        if let named { return try ConfigFile(path: named, bytes: bytes(of: named)) }
        for path in usualPlaces where FileManager.default.fileExists(atPath: path) {
            if isClient, !FileManager.default.isReadableFile(atPath: path) { continue }
            return try ConfigFile(path: path, bytes: bytes(of: path))
        }
        return nil
    }

    private init(path: String, bytes: [UInt8]) throws(BulkheadError) {
        let folder = FileManager.default.currentDirectoryPath
        let own = PathSetting.absolute(path, below: folder).split(separator: "/").dropLast()
        let base = "/" + own.joined(separator: "/")
        isService = base == Self.serviceFolder
        do {
            source = SettingSource(named: path, try Self.entries(bytes, path: path, base: base))
        } catch let error as PolicyDiagnostics {
            throw BulkheadError(.invalidSetting, error.description)
        } catch let error as BulkheadError {
            throw error
        } catch {
            throw BulkheadError(.invalidSetting, "\(path): \(error)")
        }
    }

    private static func bytes(of path: String) throws(BulkheadError) -> [UInt8] {
        let absolute = PathSetting.absolute(path, below: FileManager.default.currentDirectoryPath)
        do {
            return try PathRules.readFile(absolute, limit: Limits.policyFileBytes, code: .invalidSetting)
        } catch {
            var error = error
            error.code = .invalidSetting
            throw error
        }
    }

    private static func entries(
        _ bytes: [UInt8],
        path: String,
        base: String
    ) throws -> [SettingKey: SettingSource.Entry] {
        guard let root = try YAMLSource.read(bytes, file: path) else { return [:] }
        guard case .mapping(let members) = root.content else {
            throw diagnostic(path, root.position, "the file is \(root.kind), not a mapping of settings")
        }
        var entries: [SettingKey: SettingSource.Entry] = [:]
        for member in members {
            let place = "\(path):\(member.position.line):\(member.position.column)"
            guard let key = SettingKey(rawValue: member.key) else {
                let entry = SettingSource.Entry(name: member.key, texts: [text(member.value)], place: place)
                let nearest = NearestWord.of(member.key, among: SettingKey.allCases.map(\.rawValue))
                throw SettingSource.unknown(entry, nearest: nearest)
            }
            let texts = try texts(of: member.value, for: key, path: path).map { placed($0, key, base) }
            entries[key] = SettingSource.Entry(name: key.rawValue, texts: texts, place: place)
        }
        return entries
    }

    private static func texts(of node: YAMLNode, for key: SettingKey, path: String) throws -> [String] {
        switch (node.content, key) {
        case (.scalar(let text), let key) where key != .listen: return [text]
        case (.sequence(let elements), .listen):
            return try elements.map { element in
                guard case .scalar(let text) = element.content else {
                    throw diagnostic(path, element.position, "an address is a text, not \(element.kind)")
                }
                return text
            }
        default:
            let wanted =
                key == .listen ? "a list, such as [\"unix:/run/bulkhead/bulkhead.sock\"]" : "a single value"
            throw diagnostic(path, node.position, "\(key.rawValue) is \(wanted), not \(node.kind)")
        }
    }

    /// A relative path in the file is below the file's folder, wherever the command is run.
    private static func placed(_ text: String, _ key: SettingKey, _ base: String) -> String {
        if key == .listen { return SocketSetting.placed(text, below: base) }
        return key.isPath && !text.isEmpty ? PathSetting.absolute(text, below: base) : text
    }

    private static func text(_ node: YAMLNode) -> String {
        guard case .scalar(let text) = node.content else { return node.kind }
        return text
    }

    private static func diagnostic(
        _ path: String,
        _ position: YAMLPosition,
        _ message: String
    ) -> PolicyDiagnostics {
        PolicyDiagnostics(
            PolicyDiagnostic(file: path, line: position.line, column: position.column, message: message)
        )
    }
}
