import ArgumentParser
import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import BulkheadSandbox
import Foundation

/// What the verbs take that try a handler out; they talk to nobody.
struct TrialOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The folder of handlers. (default: as the supervisor's)", valueName: "dir"))
    var plugins: String?

    @OptionGroup var policyOptions: PolicyOptions

    var json: Bool { policyOptions.json }

    /// What is to be tried.
    /// - Parameter name: A handler's file, or a type.
    /// - Returns: The handler, with its policy as far as that can be read.
    /// - Throws: ``Failure`` where there is no such handler, or the settings are wrong.
    func subject(_ name: String) throws -> TrialSubject {
        var flags: [SettingKey: [String]] = policyOptions.policies.map { [.policies: [$0]] } ?? [:]
        if let plugins { flags[.plugins] = [plugins] }
        let sources = try SettingSources(flags: flags, isClient: true)
        let policies = try sources.read(.policies, PathSetting.self).absolute
        let (folder, type) = try Self.handler(
            name,
            in: try sources.read(.plugins, PathSetting.self).absolute
        )
        return TrialSubject(
            type: type,
            pluginsFolder: folder,
            policyPath: Self.policyPath(of: type, in: policies),
            scratch: try sources.readIfWritten(.scratch, PathSetting.self)?.absolute,
            dynamicUsers: try sources.read(.dynamicUIDs, UserRange.self).range
        )
    }

    private static func handler(_ name: String, in plugins: String) throws -> (String, TaskType) {
        var isFolder = false
        let isThere = FileManager.default.fileExists(atPath: name, isDirectory: &isFolder)
        guard name.utf8.contains(UInt8(ascii: "/")) || isThere && !isFolder else {
            return (plugins, try TaskType(name))
        }
        guard isThere, !isFolder else { throw Failure(.notFound, "there is no handler \(name)") }
        let path = PathName(PathSetting.absolute(name, below: FileManager.default.currentDirectoryPath))
        let file = path.name
        let dot = file.lastIndex(of: ".") ?? file.endIndex
        return (path.folder?.text ?? "/", try TaskType(String(file[..<dot])))
    }

    private static func policyPath(of type: TaskType, in folder: String) -> String? {
        [".yaml", ".yml"].map { "\(folder)/\(type)\($0)" }.first {
            FileManager.default.fileExists(atPath: $0)
        }
    }
}

/// A handler that is to be tried, and its policy.
struct TrialSubject: Sendable {
    let type: TaskType
    let pluginsFolder: String
    /// The policy's file; nil where the built-in one holds.
    let policyPath: String?
    let scratch: String?
    let dynamicUsers: ClosedRange<UInt32>

    /// The policy's file as its author knows it, also where there is none yet.
    var policyFile: String {
        policyPath.map { PathName($0).parts.suffix(2).joined(separator: "/") }
            ?? "policies/\(type).yaml"
    }

    /// What there is to say of a policy that was read.
    var policyWords: String {
        policyPath == nil ? "there is no \(policyFile): the built-in policy holds" : "\(policyFile) is right"
    }

    /// The policy, read as the supervisor reads it.
    var policy: Result<Policy, BulkheadError> {
        guard let path = policyPath else { return .success(Policy()) }
        guard !path.hasSuffix(".yml") else {
            let advice = "a policy's file ends in .yaml; as it is, the type is refused"
            return .failure(BulkheadError(.typeRefused, "\(policyFile): \(advice)"))
        }
        do {
            let bytes = try PathRules.readFile(path, limit: Limits.policyFileBytes)
            let profiles = ProfileSource(host: .running) { name throws(BulkheadError) in try profile(name) }
            let policy = try PolicyReader.read(bytes, file: policyFile, profiles: profiles)
            _ = try SystemCallRules(policy.sandbox)
            return .success(policy)
        } catch let error as BulkheadError {
            return .failure(error)
        } catch {
            return .failure(BulkheadError(.typeRefused, "\(error)"))
        }
    }

    /// The OCI profile that lies beside the policy under a name.
    private func profile(_ name: String) throws(BulkheadError) -> ProfileSource.File {
        let folder = (policyPath ?? "").split(separator: "/").dropLast().joined(separator: "/")
        let bytes = try PathRules.readFile("/\(folder)/\(name)", limit: Limits.profileBytes)
        return ProfileSource.File(shown: name, bytes: bytes)
    }

    /// A trial of it under a policy.
    /// - Throws: ``BulkheadError`` where the profile that the policy names cannot be read.
    func trial(_ policy: Policy) throws(BulkheadError) -> Trial.Subject {
        Trial.Subject(
            type: type,
            pluginsFolder: pluginsFolder,
            policyText: policy.text,
            profile: try policy.sandbox.profile.map { profile throws(BulkheadError) in
                try self.profile(profile.name)
            },
            scratch: scratch,
            dynamicUsers: dynamicUsers
        )
    }
}
