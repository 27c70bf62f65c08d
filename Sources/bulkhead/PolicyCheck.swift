import ArgumentParser
import BulkheadCore
import BulkheadPolicy
import BulkheadSandbox
import Foundation

/// `bulkhead policy check`: everything that is wrong with policy files, at once.
struct PolicyCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check policy files; exit 1 if one is wrong.",
        discussion: """
            Prints a line FILE:LINE:COLUMN: MESSAGE for each thing that is wrong, and FILE: warning: MESSAGE for \
            what is right and yet not safe. Without FILEs all of the policies folder are checked; a file called \
            pools.yaml is read as the pools, and one that ends in .json as an OCI profile.
            """
    )

    @Argument(help: ArgumentHelp("Policy files, or pools.yaml.", valueName: "file"))
    var files: [String] = []

    @OptionGroup var options: PolicyOptions

    func run() async throws {
        let paths = try files.isEmpty ? PolicyFolder.files(of: options.folder()) : files
        let checked = try paths.map { (path: $0, verdict: try PolicyFolder.check($0)) }
        let wrong = checked.count { !$0.verdict.diagnostics.isEmpty }
        if options.json {
            Console.data.document(.object(["files": .array(checked.map(Self.document))]))
        } else {
            var said: Set<String> = []
            for line in checked.flatMap({ $0.verdict.lines(of: $0.path) }) where said.insert(line).inserted {
                Console.data.line(Console.data.shown(line))
            }
            Console.words.line("\(checked.count) checked, \(wrong) wrong")
        }
        if wrong > 0 { throw Failure(.taskFailed) }
    }

    private static func document(_ path: String, _ verdict: PolicyVerdict) -> JSONValue {
        .object([
            "file": .string(path),
            "ok": .bool(verdict.diagnostics.isEmpty),
            "warnings": .array((verdict.remarks.map(\.description) + verdict.warnings).map { .string($0) }),
            "diagnostics": .array(
                verdict.diagnostics.map { diagnostic in
                    .object([
                        "file": .string(diagnostic.file),
                        "line": .integer(diagnostic.line),
                        "column": .integer(diagnostic.column),
                        "message": .string(diagnostic.message),
                    ])
                }
            ),
        ])
    }
}

/// What there is to say of a policy's file.
struct PolicyVerdict {
    /// Everything that is wrong with it.
    var diagnostics: [PolicyDiagnostic] = []
    /// What is right and yet not safe, as sentences.
    var warnings: [String] = []
    /// What is worth knowing of its profile, and where.
    var remarks: [PolicyDiagnostic] = []

    /// One line for each thing, as editors read them; a profile's mistakes stand under its own name.
    func lines(of path: String) -> [String] {
        diagnostics.map(\.description)
            + remarks.map { "\($0.file):\($0.line):\($0.column): warning: \($0.message)" }
            + warnings.map { "\(path): warning: \($0)" }
    }
}

/// The folder of policies as the offline verbs read it.
enum PolicyFolder {
    static let poolsFile = "pools.yaml"

    /// The files of a folder that should be policies, in the order of their names.
    static func files(of folder: String) throws -> [String] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            let cause = Cause.words(of: error)
            throw Failure(.wrongUsage, "the policies folder \(folder) cannot be read: \(cause)")
        }
        let endings = [".yaml", ".yml", ".json"]
        let policies = names.filter { name in
            !name.hasPrefix(".") && endings.contains { name.hasSuffix($0) }
        }
        return policies.sorted().map { folder + "/" + $0 }
    }

    /// What there is to say of a file as what its name says it is.
    static func check(_ path: String) throws -> PolicyVerdict {
        let bytes = try read(
            path,
            limit: path.hasSuffix(".json") ? Limits.profileBytes : Limits.policyFileBytes
        )
        let name = String(path.split(separator: "/").last ?? "")
        if name.hasSuffix(".yml") {
            return wrong(path, "a policy's file ends in .yaml; as it is, its type is refused")
        }
        do throws(PolicyDiagnostics) {
            if name.hasSuffix(".json") { return try checkProfile(bytes, name: name, path: path) }
            guard name == poolsFile else {
                return meaning(of: try policy(bytes, at: path), name: name, path: path)
            }
            _ = try PoolsFile.read(
                bytes,
                file: path,
                cores: ProcessInfo.processInfo.activeProcessorCount
            )
        } catch {
            return PolicyVerdict(diagnostics: error.all)
        }
        return PolicyVerdict()
    }

    /// A policy with the profile that lies beside it.
    static func policy(_ bytes: [UInt8], at path: String) throws(PolicyDiagnostics) -> Policy {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        let source = ProfileSource(host: .running) { name throws(BulkheadError) in
            let place = (folder + [name[...]]).joined(separator: "/")
            do {
                return ProfileSource.File(shown: place, bytes: try read(place, limit: Limits.profileBytes))
            } catch {
                throw BulkheadError(.notFound, (error as? Failure)?.message ?? "\(place): \(error)")
            }
        }
        return try PolicyReader.read(bytes, file: path, profiles: source)
    }

    /// A profile by itself, under a policy that says nothing more.
    private static func checkProfile(
        _ bytes: [UInt8],
        name: String,
        path: String
    ) throws(PolicyDiagnostics) -> PolicyVerdict {
        var policy = SandboxPolicy()
        policy.network = .host
        policy.profile = try ProfileReader.read(bytes, name: name, file: path, host: .running)
        do throws(BulkheadError) {
            _ = try SystemCallRules(policy)
        } catch {
            return wrong(path, error.description)
        }
        return PolicyVerdict(remarks: policy.profile?.warnings ?? [])
    }

    /// What a policy's own text cannot tell: whether its file's name is a type, and whether a launch can live
    /// with its rules.
    private static func meaning(of policy: Policy, name: String, path: String) -> PolicyVerdict {
        do throws(BulkheadError) {
            if name.hasSuffix(".yaml") { _ = try TaskType(String(name.dropLast(5))) }
            return PolicyVerdict(
                warnings: try SystemCallRules(policy.sandbox).warnings,
                remarks: policy.sandbox.profile?.warnings ?? []
            )
        } catch {
            return wrong(path, error.description)
        }
    }

    /// A file's bytes, one more than allowed at most.
    static func read(_ path: String, limit: Int = Limits.policyFileBytes) throws -> [UInt8] {
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            return Array(try file.read(upToCount: limit + 1) ?? Data())
        } catch {
            let isMissing = !FileManager.default.fileExists(atPath: path)
            let cause = Cause.words(of: error)
            throw Failure(isMissing ? .notFound : .wrongUsage, "\(path) cannot be read: \(cause)")
        }
    }

    private static func wrong(_ path: String, _ message: String) -> PolicyVerdict {
        PolicyVerdict(diagnostics: [PolicyDiagnostic(file: path, line: 1, column: 1, message: message)])
    }
}
