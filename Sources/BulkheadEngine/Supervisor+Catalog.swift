import BulkheadCore
import BulkheadHost

extension Supervisor {
    /// Looks at files that are being written, before their writer's end is waited for.
    private static let settlingLooks = 3
    /// How long whoever asks for a handler waits for its file to be whole and read.
    private static let longestSettling: Duration = .seconds(1)
    /// The time between looks at a catalog that depends on more than its folders.
    private static let lookElsewhere: Duration = .seconds(2)

    /// Loads a new catalog whenever a file in the plugins or policies folder has changed.
    func followFolders() async {
        for await _ in loader.changes {
            await loadSettledCatalog()
            dispatcher.wake()
        }
    }

    /// No event tells of what changes outside of the folders, so that is looked at from time to time.
    func followWhatIsElsewhere() async {
        while (try? await Task.sleep(for: Self.lookElsewhere)) != nil {
            if catalog.current.dependsOnElsewhere { loader.lookAgain() }
        }
    }

    /// Loads the catalog, and again while a file in it has just been written.
    func loadSettledCatalog() async {
        for _ in 0..<Self.settlingLooks {
            catalog.replace(with: await loader.load())
            guard catalog.current.isSettling else { return }
            // The writer's end is a change of its own; this covers a file written just before the start.
            try? await Task.sleep(for: FolderWatch.quiet)
        }
    }

    /// The catalog of the folders as they are now.
    func freshCatalog() async -> Catalog {
        await freshCatalog { catalog in await self.isWhole(catalog) }
    }

    /// The catalog with some types as their files are now: who has just put a file there is neither told that it is
    /// missing nor runs the one before it.
    func freshCatalog(for types: Set<TaskType>) async -> Catalog {
        await freshCatalog { catalog in
            var hasAll = true
            for type in types {
                guard case .ready(let entry) = catalog.resolve(type) else {
                    hasAll = false
                    continue
                }
                if !entry.isCurrent, !entry.isBeingWritten { return false }
            }
            if hasAll { return true }
            return await self.isWhole(catalog)
        }
    }

    private func isWhole(_ catalog: Catalog) async -> Bool {
        if catalog.isSettling { return false }
        return await loader.isCurrent(catalog)
    }

    /// A catalog that will do; the folders are read again until it does, but not for long.
    private func freshCatalog(_ willDo: @escaping @Sendable (Catalog) async -> Bool) async -> Catalog {
        let now = catalog.current
        if await willDo(now) { return now }
        let fresh = try? await Deadline.race(Self.longestSettling) {
            while true {
                let (current, replaced) = self.catalog.currentUntil
                if await willDo(current) { return current }
                self.loader.lookAgain()
                try await replaced.wait()
            }
        }
        return fresh ?? catalog.current
    }
}
