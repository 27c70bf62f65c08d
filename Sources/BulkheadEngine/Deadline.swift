/// A bound on the time that a wait may take.
enum Deadline {
    /// Runs a step and cancels it when the time has run out.
    /// - Returns: What the step returned; nil where the time ran out before.
    static func race<Value: Sendable>(
        _ limit: Duration,
        _ step: @escaping @Sendable () async throws -> Value?
    ) async throws -> Value? {
        guard limit > .zero else { return try await step() }
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await step() }
            group.addTask {
                // A cancelled sleep means that the step was first.
                try? await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
