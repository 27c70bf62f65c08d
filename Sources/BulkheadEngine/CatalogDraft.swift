import BulkheadCore
import BulkheadHost
import BulkheadPolicy

/// A catalog under construction, with a report on each file.
struct CatalogDraft {
    var catalog = Catalog()

    init(defaultConcurrency: Int) { catalog.defaultConcurrency = defaultConcurrency }

    mutating func add(_ entry: CatalogEntry, file: String) {
        catalog.entries[entry.type] = entry
        catalog.reports.append(
            PluginReport(
                type: entry.type,
                file: file,
                digest: entry.handler.digest,
                policyFile: entry.policyFile,
                pool: entry.policy.pool,
                description: entry.policy.description,
                warnings: entry.sandbox.warnings + entry.profileRemarks
            )
        )
    }

    mutating func refuse(
        _ type: TaskType,
        _ cause: CatalogRefusal.Cause,
        _ problems: [String],
        file: String,
        policyFile: String?
    ) {
        catalog.refusals[type] = CatalogRefusal(type: type, cause: cause, problems: problems)
        catalog.reports.append(
            PluginReport(type: type, file: file, policyFile: policyFile, problems: problems)
        )
    }

    mutating func report(file: String, _ problem: String) { report(file: file, [problem]) }

    mutating func report(file: String, _ problems: [String]) {
        catalog.reports.append(PluginReport(type: nil, file: file, problems: problems))
    }
}
