import BulkheadCore
import BulkheadHost
import BulkheadStore
import Logging

/// Keeps a copy of the pools' health in `runtime.json`, for the day on which the database is lost.
///
/// The database is the truth. The copy follows it within a second, is written atomically, and is removed when
/// there is nothing to say.
actor PoolMirror {
    private let folder: StateFolder
    private let logger: Logger
    private var pools: [PoolName: PoolHealth] = [:]
    private var isBehind = false
    private var writer: Task<Void, Never>?

    private static let pause: Duration = .seconds(1)

    init(folder: StateFolder, logger: Logger) {
        self.folder = folder
        self.logger = logger
    }

    /// Brings pools that the store does not know, since it is new, back from the copy.
    /// - Returns: The pools' health as the store has it now.
    /// - Throws: What the store said where it could not read or write.
    func restore(into store: Store) async throws -> [PoolName: PoolRecord] {
        var known = try await store.poolHealth()
        for (name, health) in read() where known[name] == nil {
            logger.notice("the pool's failures are taken from runtime.json", metadata: ["pool": "\(name)"])
            known[name] = try await store.save(health, of: name)
        }
        for (name, record) in known { pools[name] = record.health }
        follow()
        return known
    }

    /// Takes a pool's health as it is now.
    func note(_ health: PoolHealth, of name: PoolName) {
        guard pools[name] ?? PoolHealth() != health else { return }
        pools[name] = health
        follow()
    }

    /// Writes what is not written yet.
    func finish() async {
        writer?.cancel()
        await writer?.value
        if isBehind { write() }
    }

    private func follow() {
        isBehind = true
        guard writer == nil else { return }
        writer = Task { await self.writeWhileBehind() }
    }

    private func writeWhileBehind() async {
        while isBehind, !Task.isCancelled {
            write()
            try? await Task.sleep(for: Self.pause)
        }
        writer = nil
    }

    private func write() {
        isBehind = false
        do {
            if let bytes = PoolHealthText.bytes(of: pools) {
                try folder.writeRuntime(bytes)
            } else {
                try folder.removeRuntime()
            }
        } catch {
            logger.warning("runtime.json could not be written", metadata: ["error": "\(error)"])
        }
    }

    private func read() -> [PoolName: PoolHealth] {
        do {
            guard let bytes = try folder.readRuntime() else { return [:] }
            return try PoolHealthText.read(bytes)
        } catch {
            logger.warning("runtime.json could not be read", metadata: ["error": "\(error)"])
            return [:]
        }
    }
}
