import Foundation

/// The files below `Tests/Fixtures/policies` and `Tests/Fixtures/profiles`.
enum Fixtures {
    private static let folder = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/policies", directoryHint: .isDirectory)
    private static let profiles = folder.deletingLastPathComponent().appending(path: "profiles")

    static func bytes(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: folder.appending(path: path)))
    }

    /// The names of a folder's YAML files, sorted.
    static func names(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: path).path)
            .filter { $0.hasSuffix(".yaml") }.sorted()
    }

    /// The lines of a text file.
    static func lines(_ path: String) throws -> [String] {
        String(decoding: try bytes(path), as: UTF8.self).split(separator: "\n").map(String.init)
    }

    static func profile(_ path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: profiles.appending(path: path)))
    }

    /// The names of a folder's profiles, sorted.
    static func profiles(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: profiles.appending(path: path).path)
            .filter { $0.hasSuffix(".json") }.sorted()
    }

    /// The lines of a text file beside the profiles.
    static func profileLines(_ path: String) throws -> [String] {
        String(decoding: try profile(path), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
