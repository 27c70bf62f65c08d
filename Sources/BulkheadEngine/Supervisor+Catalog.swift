import BulkheadHost

extension Supervisor {
    /// Looks at files that are being written, before their writer's end is waited for.
    private static let settlingLooks = 3
    /// How long whoever asks for a handler waits for its file to be whole.
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

    /// The catalog of the folders as they are now: who has just put a file there is not told that it is missing.
    ///
    /// A file that somebody is still writing is waited for, but not for long.
    func freshCatalog() async -> Catalog {
        let fresh = try? await Deadline.race(Self.longestSettling) {
            while true {
                let (current, replaced) = self.catalog.currentUntil
                if !current.isSettling, await self.loader.isCurrent(current) { return current }
                self.loader.lookAgain()
                try await replaced.wait()
            }
        }
        return fresh ?? catalog.current
    }
}
