import BulkheadCore
import BulkheadPolicy
import Testing

@testable import BulkheadEngine

@Suite("AttemptTerms")
struct AttemptTermsTests {
    private static let minimal: JSONValue = .object([
        "scratch": "/s/1", "group": "task-1", "handler": "abc", "outputLimit": 5, "onLimit": "fail",
        "retryLimit": 2, "retryDelay": 1_500_000_000, "retryMaximum": 9_000_000_000, "retryJitter": "none",
        "recovery": "rehydrate", "recoveryLimit": 4, "grace": 250_000_000, "onDenied": "kill",
        "hasFilter": true, "handlerFile": "/p/a.sh", "policyFile": "policies/a.yaml",
        "warnings": .array(["one"]),
    ])

    @Test("the terms of an attempt come back from the store as they were")
    func roundTrip() throws {
        var terms = try #require(AttemptTerms(Self.minimal))
        #expect(terms.timeout == nil && terms.holdings.dynamicUser == nil)
        #expect((terms.output.limit, terms.output.onLimit) == (5, .fail))
        #expect(
            terms.retry.backoff
                == BackoffSchedule(delay: .milliseconds(1_500), maximum: .seconds(9), jitter: .none)
        )
        #expect((terms.recovery.mode, terms.recovery.limit, terms.denials.onDenied) == (.rehydrate, 4, .kill))
        #expect(AttemptTerms(terms.value) == terms)
        terms.timeout = .seconds(3)
        terms.cpu = .milliseconds(4)
        terms.memory = 1 << 30
        terms.holdings.dynamicUser = 2_000_000_001
        terms.denials.preset = .network
        terms.denials.network = .host
        terms.denials.deny = [
            .group("@timer"), SyscallSelector(subject: .name("timer_create"), isNegated: true),
        ]
        #expect(AttemptTerms(terms.value) == terms)
        terms.denials.profile = "own.json"
        terms.denials.others = ["keyctl": .errno, "mount": .errno]
        #expect(AttemptTerms(terms.value) == terms)
    }

    @Test("terms that lack something are none")
    func incomplete() {
        for member in Self.minimal.object?.members ?? [] {
            var object = JSONObject()
            for other in Self.minimal.object?.members ?? [] where other.name != member.name {
                object[other.name] = other.value
            }
            #expect(AttemptTerms(.object(object)) == nil, "\(member.name)")
        }
    }
}
