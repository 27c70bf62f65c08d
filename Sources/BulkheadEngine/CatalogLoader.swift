import BulkheadCore
import BulkheadHost
import Dispatch

/// Keeps the catalog up with the plugins and policies folders.
actor CatalogLoader {
    private var reader: CatalogReader
    private let watch: FolderWatch
    /// Reading and hashing files blocks, which the threads that tasks share are not for.
    private let queue = DispatchQueue(label: "bulkhead.catalog")

    init(_ settings: SupervisorSettings, handlers: HandlerStore) throws(BulkheadError) {
        reader = CatalogReader(settings, handlers: handlers)
        watch = try FolderWatch(paths: [settings.pluginsFolder, settings.policiesFolder])
    }

    /// An element whenever something in the folders has changed and has been quiet for a while.
    nonisolated var changes: AsyncStream<Void> { watch.changes }

    /// Makes ``changes`` give an element, whatever has changed.
    nonisolated func lookAgain() { watch.lookAgain() }

    /// Ends the watch.
    nonisolated func stop() { watch.stop() }

    /// The catalog of this moment; one caller at a time.
    func load() async -> Catalog {
        let before = reader
        let (catalog, after) = await withCheckedContinuation { continuation in
            queue.async {
                var reader = before
                let catalog = reader.load()
                continuation.resume(returning: (catalog, reader))
            }
        }
        reader = after
        return catalog
    }
}
