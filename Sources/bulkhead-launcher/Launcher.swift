import BulkheadLaunch
import CLinux
import Glibc

/// The loop: one thread, one task at a time, task after task, until the supervisor goes.
final class Launcher {
    private let control: ControlSocket
    private let childSignals: Descriptor
    private let boundingSet: Int32
    private let buffer = ReadBuffer(capacity: 1024)
    private var poll = PollSet()
    private var attempt: Attempt?
    /// An attempt that was refused before there was a child, and whose refusal is not acknowledged yet.
    private var refusedNumber: UInt64?
    private var isPrepared = false
    /// The exit status, once the launcher is to leave.
    private var leaving: Int32?

    /// The other end broke the protocol (sysexits.h).
    static let protocolViolation: Int32 = 76

    init(control: Int32, childSignals: consuming Descriptor, boundingSet: Int32) {
        self.control = ControlSocket(descriptor: control)
        self.boundingSet = boundingSet
        self.childSignals = consume childSignals
    }

    /// Serves until the supervisor goes or breaks the protocol.
    ///
    /// - Returns: The exit status.
    func run() -> Int32 {
        while true {
            if let leaving, attempt == nil { return leaving }
            turn()
        }
    }

    private func turn() {
        var now = monotonicNow()
        poll.clear()
        poll.watch(.children, childSignals.number)
        if leaving == nil { poll.watch(.control, control.descriptor, for: control.interest) }
        attempt?.watch(&poll, at: now)
        poll.wait(until: attempt?.deadline(after: now), now: now)
        now = monotonicNow()
        if poll.isReady(.children) {
            // One read takes the signal that stands for all children that have ended.
            _ = buffer.read(childSignals.number, limit: buffer.capacity)
        }
        attempt?.handle(poll, at: now)
        if leaving == nil, poll.isReady(.control) { serveControl(at: now) }
        attempt?.tick(at: now)
        if control.isClosed { leave(0, at: now) }
        if leaving != nil, attempt?.phase == .reported { attempt = nil }
    }

    private func serveControl(at now: UInt64) {
        control.flush()
        while leaving == nil {
            switch control.receive() {
            case .nothing:
                return
            case .closed:
                leave(0, at: now)
            case .violation(let words):
                reject(words, at: now)
            case .message(let message, let descriptors):
                take(message, descriptors, at: now)
            }
        }
    }

    private func take(
        _ message: SupervisorMessage,
        _ descriptors: consuming LaunchDescriptors,
        at now: UInt64
    ) {
        switch message {
        case .prepare(let preparation):
            guard !isPrepared else { return reject("a second prepare", at: now) }
            guard preparation.version == LaunchLimits.protocolVersion else {
                return reject("a supervisor that speaks version \(preparation.version)", at: now)
            }
            isPrepared = true
            sayReady()
        case .launch(let header):
            guard isPrepared else { return reject("a launch before prepare", at: now) }
            guard attempt == nil, refusedNumber == nil else {
                return reject("a launch while an attempt is there", at: now)
            }
            launch(header, descriptors, at: now)
        case .stop(let number, let reason):
            if number == attempt?.number { attempt?.stop(reason, at: now) }
        case .outputAck(let number, let stream, let offset):
            guard number == attempt?.number else { return }
            do {
                try attempt?.acknowledge(stream, offset)
            } catch {
                reject("an acknowledgement of output that was never produced: \(error)", at: now)
            }
        case .outcomeAck(let number):
            if number == refusedNumber || (number == attempt?.number && attempt?.phase == .reported) {
                forget(at: now)
            }
        }
    }

    private func launch(_ header: LaunchHeader, _ descriptors: consuming LaunchDescriptors, at now: UInt64) {
        do throws(Refusal) {
            guard let stdin = descriptors.stdin.take(), let specFile = descriptors.spec.take() else {
                let errno = descriptors.truncated ? EMFILE : EPROTO
                throw Refusal(
                    stage: .spec,
                    errno: errno,
                    detail: "the descriptors of spec and stdin did not come"
                )
            }
            let spec = try readSpec(header, specFile)
            attempt = try Attempt(
                spec: spec,
                stdin: stdin,
                control: control,
                boundingSet: boundingSet,
                now: now
            )
        } catch {
            refusedNumber = header.attempt
            control.send(
                .refused(
                    attempt: header.attempt,
                    stage: error.stage,
                    errno: error.errno,
                    detail: error.detail
                )
            )
        }
    }

    private func readSpec(_ header: LaunchHeader, _ file: borrowing Descriptor) throws(Refusal) -> LaunchSpec
    {
        guard clinux_is_sealed(file.number) == 1 else {
            throw Refusal(stage: .spec, errno: EPERM, detail: "the spec is not a sealed memfd")
        }
        let size = Int(header.specBytes)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size + 1) { memory, count in
            count = unsafe max(0, pread(file.number, memory.baseAddress, size + 1, 0))
        }
        do throws(CodecError) {
            guard bytes.count == size else { throw .truncated(field: "spec") }
            let spec = try LaunchSpec(decoding: bytes[...])
            guard spec.attempt == header.attempt else {
                throw .unknownValue(field: "attempt", value: spec.attempt)
            }
            return spec
        } catch {
            throw Refusal(stage: .spec, errno: EBADMSG, detail: error.description)
        }
    }

    private func forget(at now: UInt64) {
        // A tree that does not end stays where it is: the next task gets a fresh launcher.
        let isSpent = (attempt?.survivors ?? 0) > 0
        attempt = nil
        refusedNumber = nil
        if isSpent { leave(0, at: now) } else { sayReady() }
    }

    private func sayReady() {
        control.send(.ready(version: LaunchLimits.protocolVersion, pid: getpid()))
    }

    private func reject(_ words: String, at now: UInt64) {
        complain("protocol violation: \(words)")
        leave(Self.protocolViolation, at: now)
    }

    private func leave(_ status: Int32, at now: UInt64) {
        guard leaving == nil else { return }
        leaving = status
        control.close()
        attempt?.abandon(at: now)
    }
}
