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
    /// What a count may be, so that it can be counted on.
    private static let counts = 0...Int64(Int32.max)

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
        var object = JSONObject()
        for (name, health) in pools.sorted(by: { $0.key < $1.key }) where health != PoolHealth() {
            object[name.name] = Self.value(health)
        }
        do {
            if object.members.isEmpty {
                try folder.removeRuntime()
            } else {
                try folder.writeRuntime(JSONValue.object(["pools": .object(object)]).bytes)
            }
        } catch {
            logger.warning("runtime.json could not be written", metadata: ["error": "\(error)"])
        }
    }

    private func read() -> [PoolName: PoolHealth] {
        do {
            guard let bytes = try folder.readRuntime() else { return [:] }
            let members = try JSONParser.parse(bytes)["pools"]?.object?.members ?? []
            return Dictionary(uniqueKeysWithValues: members.compactMap(Self.pool))
        } catch {
            logger.warning("runtime.json could not be read", metadata: ["error": "\(error)"])
            return [:]
        }
    }

    private static func value(_ health: PoolHealth) -> JSONValue {
        var object: JSONObject = [
            "failures": .integer(health.failures), "backoffs": .integer(health.backoffs),
        ]
        object["backoffUntil"] = health.backoffUntil.map { .string($0.description) }
        return .object(object)
    }

    private static func pool(_ member: JSONObject.Member) -> (PoolName, PoolHealth)? {
        guard let name = try? PoolName(member.name),
            let failures = member.value["failures"]?.integer, counts.contains(failures),
            let backoffs = member.value["backoffs"]?.integer, counts.contains(backoffs)
        else { return nil }
        var health = PoolHealth()
        health.failures = Int(failures)
        health.backoffs = Int(backoffs)
        health.backoffUntil = member.value["backoffUntil"]?.string.flatMap { try? Timestamp($0) }
        return (name, health)
    }
}
