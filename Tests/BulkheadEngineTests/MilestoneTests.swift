import BulkheadEngine
import Testing

@Suite("Milestone")
struct MilestoneTests {
    @Test("whoever waits goes on when it is reached, before and after, however often that is said")
    func reached() async throws {
        let milestone = Milestone()
        #expect(!milestone.isReached)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<10 { group.addTask { try await milestone.wait() } }
            await Task.yield()
            milestone.reach()
            milestone.reach()
            try await group.waitForAll()
        }
        try await milestone.wait()
        #expect(milestone.isReached)
    }

    @Test("whoever is cancelled waits no longer, and the others still do")
    func cancelled() async throws {
        let milestone = Milestone()
        let impatient = Task { try await milestone.wait() }
        let patient = Task { try await milestone.wait() }
        impatient.cancel()
        await #expect(throws: CancellationError.self) { try await impatient.value }
        #expect(!milestone.isReached)
        milestone.reach()
        try await patient.value
    }
}
