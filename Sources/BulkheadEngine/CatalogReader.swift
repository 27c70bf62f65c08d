import BulkheadCore
import BulkheadHost
import BulkheadPolicy
import FoundationEssentials

/// Reads the plugins and policies folders into a catalog.
///
/// What is unchanged is not read again; a file that somebody is still writing keeps its type as it was.
struct CatalogReader: Sendable {
    /// What is wrong with a file, one sentence each.
    struct Problem: Error {
        var problems: [String]
    }

    private struct LoadedPolicy {
        var content: [UInt8]
        var profiles: ProfileFolder
        var result: Result<(Policy, PreparedSandbox), Problem>
    }

    private let pluginsFolder: String
    private let policiesFolder: String
    private let onlyType: TaskType?
    private let handlers: HandlerStore
    private let cores = ProcessInfo.processInfo.activeProcessorCount
    private var policies: [String: LoadedPolicy] = [:]
    private var previous = Catalog()

    init(_ settings: SupervisorSettings, handlers: HandlerStore) {
        pluginsFolder = settings.pluginsFolder
        policiesFolder = settings.policiesFolder
        onlyType = settings.onlyType
        self.handlers = handlers
    }

    /// The catalog of this moment.
    mutating func load() -> Catalog {
        var draft = CatalogDraft(defaultConcurrency: cores)
        draft.catalog.folders = FolderMark(of: [pluginsFolder, policiesFolder])
        let pools = loadPools(&draft)
        let files = pluginFiles(&draft)
        let policyFiles = policyFiles(types: Set(files.keys), &draft)
        for (type, paths) in files.sorted(by: { $0.key < $1.key }) {
            load(type, paths, policyFiles[type], pools: pools, &draft)
        }
        previous = draft.catalog
        let kept = Set(previous.entries.values.map(\.handler.digest))
        for problem in handlers.prune(keeping: kept) { draft.report(file: pluginsFolder, problem) }
        return draft.catalog
    }

    // MARK: pools.yaml

    private mutating func loadPools(_ draft: inout CatalogDraft) -> Problem? {
        let path = policiesFolder + "/pools.yaml"
        do {
            let bytes = try PathRules.readFile(path, limit: Limits.policyFileBytes)
            draft.catalog.pools = try PoolsFile.read(bytes, file: shown(path), cores: cores)
            return nil
        } catch let error as BulkheadError where error.code == .notFound {
            return nil
        } catch {
            let problem = Self.problem(error)
            draft.report(file: path, problem.problems)
            return problem
        }
    }

    // MARK: The folders

    /// The handlers' files by type; two files of one type are both there.
    private func pluginFiles(_ draft: inout CatalogDraft) -> [TaskType: [String]] {
        var files: [TaskType: [String]] = [:]
        for name in names(in: pluginsFolder, &draft) where !Self.isPassedOver(name) {
            let path = pluginsFolder + "/" + name
            guard !isFolder(path) else { continue }
            do {
                let type = try TaskType(Self.withoutExtension(name))
                if onlyType == nil || type == onlyType { files[type, default: []].append(path) }
            } catch {
                draft.report(file: path, "\(error.message); rename the file")
            }
        }
        return files
    }

    /// The policies' files by type, and a problem for each file that is none.
    private func policyFiles(types: Set<TaskType>, _ draft: inout CatalogDraft) -> [TaskType: String] {
        var files: [TaskType: String] = [:]
        for name in names(in: policiesFolder, &draft) where !Self.isPassedOver(name) {
            let path = policiesFolder + "/" + name
            guard name != "pools.yaml", !name.hasSuffix(".json"), !isFolder(path) else { continue }
            let stem = Self.withoutExtension(name)
            guard let type = try? TaskType(stem), types.contains(type) else {
                let nearest = NearestWord.question(stem, among: types.map(\.name))
                draft.report(file: path, "there is no handler \(stem)\(nearest)")
                continue
            }
            guard name == "\(type).yaml" else {
                let advice = "a policy is named \(type).yaml; rename \(shown(path))"
                draft.refuse(type, .policy, [advice], file: path, policyFile: shown(path))
                continue
            }
            files[type] = path
        }
        return files
    }

    // MARK: One type

    private mutating func load(
        _ type: TaskType,
        _ paths: [String],
        _ policyPath: String?,
        pools: Problem?,
        _ draft: inout CatalogDraft
    ) {
        guard draft.catalog.refusals[type] == nil else { return }
        let policyFile = policyPath.map { shown($0) }
        guard paths.count == 1, let path = paths.first else {
            let names = paths.sorted().map { shown($0) }.joined(separator: " and ")
            let problem = "\(names) give the same task type; keep one"
            draft.refuse(type, .handler, [problem], file: pluginsFolder, policyFile: policyFile)
            return
        }
        var files = [path, policiesFolder + "/\(type).yaml"].map { FileMark(of: $0) }
        let policy: (Policy, PreparedSandbox)
        do {
            policy = try loadPolicy(policyPath)
            if let pools { throw pools }
        } catch {
            let problems = Self.problem(error).problems
            draft.refuse(type, .policy, problems, file: policyPath ?? path, policyFile: policyFile)
            return
        }
        do {
            let handler: HandlerFile
            if let before = try handlerBeforeWriting(path, type, &draft) {
                (handler, files) = (before.handler, before.files)
            } else {
                handler = try handlers.take(path: path)
            }
            try Self.check(handler, against: policy.0)
            let entry = CatalogEntry(
                type: type,
                handler: handler,
                policy: policy.0,
                policyFile: policyFile,
                sandbox: policy.1,
                files: files
            )
            draft.add(entry, file: shown(path))
        } catch let error where error.code == .notFound {
            draft.report(file: path, error.message)
        } catch {
            let cause: CatalogRefusal.Cause = error.code == .conflict ? .changedHandler : .handler
            draft.refuse(type, cause, Self.problem(error).problems, file: path, policyFile: policyFile)
        }
    }

    /// The handler as it was, while somebody is writing it; nil where nobody is.
    private func handlerBeforeWriting(
        _ path: String,
        _ type: TaskType,
        _ draft: inout CatalogDraft
    ) throws(BulkheadError) -> CatalogEntry? {
        guard FolderWatch.isBeingWritten(path) else { return nil }
        draft.catalog.isSettling = true
        if let before = previous.entries[type], before.handler.sourcePath == path,
            handlers.isReady(before.handler)
        {
            return before
        }
        throw BulkheadError(.unavailable, "\(shown(path)) is still being written")
    }

    private static func check(_ handler: HandlerFile, against policy: Policy) throws(BulkheadError) {
        if let wanted = policy.sha256, wanted != handler.digest {
            throw BulkheadError(
                .conflict,
                "\(handler.sourcePath) has the SHA-256 \(handler.digest), its policy wants \(wanted)",
                advice: "put the handler that was meant there, or mend sha256 in its policy"
            )
        }
        if handler.needsSecondExec, policy.sandbox.preset == .compute {
            throw BulkheadError(
                .typeRefused,
                "the first line of \(handler.sourcePath) leads to a second exec, which compute does not let through",
                advice: "name the interpreter itself in the first line, or use the preset default"
            )
        }
    }

    private mutating func loadPolicy(_ path: String?) throws -> (Policy, PreparedSandbox) {
        guard let path else { return (Policy(), try PreparedSandbox(SandboxPolicy())) }
        let content = try PathRules.readFile(path, limit: Limits.policyFileBytes)
        if let known = policies[path], known.content == content, known.profiles.isUnchanged {
            return try known.result.get()
        }
        let folderName = PathName(shown(path)).parts.dropLast().joined()
        let profiles = ProfileFolder(policiesFolder, shown: folderName)
        let result = Result { () throws(Problem) in try read(content, path, profiles) }
        policies[path] = LoadedPolicy(content: content, profiles: profiles, result: result)
        return try result.get()
    }

    private func read(
        _ content: [UInt8],
        _ path: String,
        _ profiles: ProfileFolder
    ) throws(Problem) -> (Policy, PreparedSandbox) {
        do {
            let policy = try PolicyReader.read(content, file: shown(path), profiles: profiles.source)
            return (policy, try PreparedSandbox(policy.sandbox))
        } catch {
            throw Self.problem(error)
        }
    }

    // MARK: Parts

    private func names(in folder: String, _ draft: inout CatalogDraft) -> [String] {
        do {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            draft.catalog.hasLinks = draft.catalog.hasLinks || names.contains { isLink(folder + "/" + $0) }
            return names
        } catch {
            let advice = "make the folder, or name another one in the settings"
            draft.report(file: folder, "the folder cannot be read (\(advice))")
            return []
        }
    }

    private func isFolder(_ path: String) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }

    private func isLink(_ path: String) -> Bool {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return attributes?[.type] as? FileAttributeType == .typeSymbolicLink
    }

    /// A path as the user knows it: the folder's own name and the file's.
    private func shown(_ path: String) -> String {
        PathName(path).parts.suffix(2).joined(separator: "/")
    }

    /// What contract §1 says is no handler: dot files, and names that end in `~`, `.md` or `.txt`.
    ///
    /// Judged by bytes, as file names are: a combining mark would make another character of the dot before it.
    private static func isPassedOver(_ name: String) -> Bool {
        name.utf8.first == UInt8(ascii: ".")
            || [".md", ".txt", "~"].contains { name.utf8.reversed().starts(with: $0.utf8.reversed()) }
    }

    private static func withoutExtension(_ name: String) -> String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return name }
        return String(name[..<dot])
    }

    private static func problem(_ error: any Error) -> Problem {
        switch error {
        case let problem as Problem: problem
        case let diagnostics as PolicyDiagnostics:
            Problem(problems: diagnostics.all.map(\.description))
        case let error as BulkheadError: Problem(problems: [error.description])
        default: Problem(problems: ["\(error)"])
        }
    }
}
