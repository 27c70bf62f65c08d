import BulkheadLaunch
import Testing

@testable import BulkheadHost

@Suite("EventInbox", .timeLimit(.minutes(5)))
struct EventInboxTests {
    private func output(_ number: UInt64, bytes: Int = 1) -> LauncherEvent {
        .message(
            .output(attempt: 1, stream: .stdout, offset: number, bytes: [UInt8](repeating: 0, count: bytes))
        )
    }

    @Test("events come out in order, and nil after the last")
    func inOrder() async {
        let inbox = EventInbox()
        for number in 0..<3000 { inbox.put(output(UInt64(number)), last: false) }
        inbox.put(.lost(reason: "gone"), last: true)
        for number in 0..<3000 { #expect(await inbox.next {} == output(UInt64(number))) }
        #expect(await inbox.next {} == .lost(reason: "gone"))
        #expect(await inbox.next {} == nil)
    }

    @Test("nothing follows the last event")
    func nothingFollows() async {
        let inbox = EventInbox()
        inbox.put(output(1), last: true)
        inbox.put(output(2), last: false)
        #expect(await inbox.next {} == output(1))
        #expect(await inbox.next {} == nil)
    }

    @Test("a full inbox wants no more until half of it has been read")
    func bounded() async {
        let inbox = EventInbox(byteLimit: 4000)
        var room = true
        var held: UInt64 = 0
        while room {
            room = inbox.put(output(held, bytes: 872), last: false)
            held += 1
        }
        #expect(held == 5)
        #expect(!inbox.wantsMore)
        var calls: [UInt64] = []
        for number in 0..<held {
            #expect(await inbox.next { calls.append(number) } == output(number, bytes: 872))
        }
        #expect(calls == [2])
        #expect(inbox.wantsMore)
    }

    @Test("a waiting reader gets the event at once")
    func waitingReader() async {
        let inbox = EventInbox(byteLimit: 0)
        async let event = inbox.next {}
        var offered: UInt64 = 0
        // Until the reader waits, each event is stored; the first of them is what it gets.
        inbox.put(output(offered), last: false)
        offered += 1
        inbox.put(output(offered), last: true)
        #expect(await event == output(0))
    }

    @Test("an abandoned inbox ends its reader's wait, keeps nothing and holds nobody up")
    func abandoned() async {
        let inbox = EventInbox(byteLimit: 100)
        let reader = Task { await inbox.next {} }
        inbox.abandon()
        #expect(await reader.value == nil)
        #expect(inbox.put(output(1, bytes: 1000), last: false))
        #expect(inbox.wantsMore)
        #expect(await inbox.next {} == nil)
    }
}
