/// The pools' health as `runtime.json` has it.
public enum PoolHealthText {
    /// What a count may be, so that it can be counted on.
    private static let counts = 0...Int64(Int32.max)

    /// Writes what there is to say of pools.
    ///
    /// - Parameter pools: The pools' health.
    /// - Returns: The text's bytes; nil where there is nothing to say.
    public static func bytes(of pools: [PoolName: PoolHealth]) -> [UInt8]? {
        var object = JSONObject()
        for (name, health) in pools.sorted(by: { $0.key < $1.key }) where health != PoolHealth() {
            object[name.name] = value(health)
        }
        return object.members.isEmpty ? nil : JSONValue.object(["pools": .object(object)]).bytes
    }

    /// Reads the text; a pool that cannot be understood is left out.
    ///
    /// - Parameter bytes: The text's bytes.
    /// - Returns: The pools' health.
    /// - Throws: Why the bytes are no JSON.
    public static func read(_ bytes: [UInt8]) throws -> [PoolName: PoolHealth] {
        let members = try JSONParser.parse(bytes)["pools"]?.object?.members ?? []
        return Dictionary(members.compactMap(pool)) { first, _ in first }
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
