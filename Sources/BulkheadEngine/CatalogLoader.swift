import BulkheadCore
import BulkheadHost
import Dispatch

/// Keeps the catalog up with the plugins and policies folders.
actor CatalogLoader {
    private var reader: CatalogReader
    private let watch: FolderWatch
    private let folders: [String]
    /// Reading and hashing files blocks, which the threads that tasks share are not for.
    private let queue = DispatchQueue(label: "bulkhead.catalog")

    init(_ settings: SupervisorSettings, handlers: HandlerStore) throws(BulkheadError) {
        reader = CatalogReader(settings, handlers: handlers)
        folders = [settings.pluginsFolder, settings.policiesFolder]
        watch = try FolderWatch(paths: folders)
    }

    /// An element whenever something in the folders has changed and has been quiet for a while.
    nonisolated var changes: AsyncStream<Void> { watch.changes }

    /// Makes ``changes`` give an element, whatever has changed.
    nonisolated func lookAgain() { watch.lookAgain() }

    /// Ends the watch.
    nonisolated func stop() { watch.stop() }

    /// Whether the folders are still as they were when a catalog was read from them.
    nonisolated func isCurrent(_ catalog: Catalog) async -> Bool {
        await withCheckedContinuation { continuation in
            queue.async { [folders] in
                continuation.resume(returning: catalog.folders == FolderMark(of: folders))
            }
        }
    }

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
