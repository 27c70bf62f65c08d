import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("DynamicUsers")
struct DynamicUsersTests {
    private let folder: HostFolder
    private var locks: String { folder("locks") }

    init() throws {
        folder = try HostFolder()
    }

    @Test("no number is given twice before it is given back")
    func unique() throws {
        let users = DynamicUsers(range: 2_000_000_000...2_000_002_999, locks: locks)
        let taken = try (0..<3_000).map { _ in try users.take() }
        #expect(Set(taken) == Set(2_000_000_000...2_000_002_999))
        let error = refusal { () throws(BulkheadError) in try users.take() }
        #expect(error?.message == "all dynamic users from 2000000000 to 2000002999 are taken")
        users.giveBack(taken[7])
        users.giveBack(taken[7])
        users.giveBack(4711)
        #expect(try users.take() == taken[7])
        #expect(refusal { () throws(BulkheadError) in try users.take() }?.code == .host)
    }

    @Test("the number that has rested longest comes next")
    func rests() throws {
        let users = DynamicUsers(range: 2_000_000_000...2_000_000_003, locks: locks)
        let first = try users.take()
        users.giveBack(first)
        var later: [UInt32] = []
        for _ in 0..<3 { later.append(try users.take()) }
        #expect(!later.contains(first))
        #expect(try users.take() == first)
    }

    @Test("two supervisors of one host never give the same number")
    func twoSupervisors() throws {
        let range: ClosedRange<UInt32> = 2_000_000_000...2_000_002_047
        let one = DynamicUsers(range: range, locks: locks)
        let mine = try (0..<1_024).map { _ in try one.take() }
        do {
            let two = DynamicUsers(range: range, locks: locks)
            let others = try (0..<1_024).map { _ in try two.take() }
            #expect(Set(mine).isDisjoint(with: others))
            #expect(refusal { () throws(BulkheadError) in try one.take() }?.code == .host)
            #expect(refusal { () throws(BulkheadError) in try two.take() }?.code == .host)
        }
        // The other one has ended, and its numbers are free again.
        #expect(try !mine.contains(one.take()))
    }

    @Test("a number that the host has given to somebody is left alone")
    func existing() throws {
        #expect(
            refusal { () throws(BulkheadError) in try DynamicUsers(range: 0...0, locks: locks).take() } != nil
        )
    }

    @Test("a range that ends at the largest number does not trap")
    func largest() throws {
        let users = DynamicUsers(range: (.max - 1)...(.max), locks: locks)
        #expect(try Set([users.take(), users.take()]) == [.max - 1, .max])
    }

    @Test("lock files that cannot be had are an error with the way out")
    func noLocks() {
        let error = refusal { () throws(BulkheadError) in
            try DynamicUsers(range: 1...2, locks: folder("no/locks")).take()
        }
        #expect(error?.code == .host)
        #expect(error?.advice?.contains("name a user in the policy") == true)
    }
}
