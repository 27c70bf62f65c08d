import BulkheadCore
import Foundation
import Testing

@testable import BulkheadHost

@Suite("DynamicUsers")
struct DynamicUsersTests {
    private let folder: HostFolder
    private var locks: String { folder("locks") }
    private let owner = "0123456789abcdef"

    init() throws {
        folder = try HostFolder()
    }

    @Test("no number is given twice before it is given back")
    func unique() throws {
        let users = DynamicUsers(range: 2_000_000_000...2_000_002_999, owner: owner, locks: locks)
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
        let users = DynamicUsers(range: 2_000_000_000...2_000_000_003, owner: owner, locks: locks)
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
        let one = DynamicUsers(range: range, owner: owner, locks: locks)
        let mine = try (0..<1_024).map { _ in try one.take() }
        do {
            let two = DynamicUsers(range: range, owner: "another", locks: locks)
            let others = try (0..<1_024).map { _ in try two.take() }
            #expect(Set(mine).isDisjoint(with: others))
            #expect(refusal { () throws(BulkheadError) in try one.take() }?.code == .host)
            #expect(refusal { () throws(BulkheadError) in try two.take() }?.code == .host)
        }
        // The other one has ended, and its numbers are free again.
        #expect(try !mine.contains(one.take()))
    }

    @Test("what outlives its supervisor keeps its number; only the same state folder has its block meanwhile")
    func outlived() throws {
        let range: ClosedRange<UInt32> = 2_000_000_000...2_000_001_023
        var one: DynamicUsers? = DynamicUsers(range: range, owner: owner, locks: locks)
        let taken = try #require(try one?.take())
        // As a launcher holds it.
        var held = one?.block(of: taken)
        #expect(held != nil)
        one = nil
        let other = DynamicUsers(range: range, owner: "another", locks: locks)
        #expect(refusal { () throws(BulkheadError) in try other.take() }?.code == .host)
        #expect(!other.reclaim(taken))
        var next: DynamicUsers? = DynamicUsers(range: range, owner: owner, locks: locks)
        #expect(next?.reclaim(taken) == true)
        let rest = try (0..<1_023).map { _ in try #require(try next?.take()) }
        #expect(!rest.contains(taken) && Set(rest).count == 1_023)
        next = nil
        #expect(refusal { () throws(BulkheadError) in try other.take() }?.code == .host)
        withExtendedLifetime(held) {}
        held = nil
        #expect(try range.contains(other.take()))
    }

    @Test("a number that the host has given to somebody is left alone")
    func existing() throws {
        #expect(
            refusal { () throws(BulkheadError) in
                try DynamicUsers(range: 0...0, owner: owner, locks: locks).take()
            } != nil
        )
    }

    @Test("a range that ends at the largest number does not trap")
    func largest() throws {
        let users = DynamicUsers(range: (.max - 1)...(.max), owner: owner, locks: locks)
        #expect(try Set([users.take(), users.take()]) == [.max - 1, .max])
    }

    @Test("lock files that cannot be had are an error with the way out")
    func noLocks() {
        let error = refusal { () throws(BulkheadError) in
            try DynamicUsers(range: 1...2, owner: owner, locks: folder("no/locks")).take()
        }
        #expect(error?.code == .host)
        #expect(error?.advice?.contains("name a user in the policy") == true)
    }
}
