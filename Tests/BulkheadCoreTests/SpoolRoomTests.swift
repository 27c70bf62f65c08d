import BulkheadCore
import Testing

@Suite("SpoolRoom")
struct SpoolRoomTests {
    @Test("a cap that holds the reserve and one final goes with them, one byte less does not")
    func mismatch() {
        let final = Limits.finalBytes(resultLimit: Limits.resultBytes)
        func mismatch(cap: Int64, reserve: Int64) -> String? {
            SpoolRoom.mismatch(cap: cap, terminalReserve: reserve, resultLimit: Limits.resultBytes)
        }
        #expect(mismatch(cap: final + 1, reserve: 1) == nil)
        #expect(mismatch(cap: final, reserve: 1) != nil)
        #expect(mismatch(cap: .max, reserve: .max) != nil)
        #expect(mismatch(cap: 0, reserve: 1) != nil)
    }
}
