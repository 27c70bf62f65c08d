import BulkheadLaunch
import CLinux
import Glibc

/// The loop: one thread, one task at a time, task after task, until the supervisor goes.
///
/// With an attempt it outlives its supervisor: it goes on as before, keeps what it has to say within bounds, and
/// waits at its door for another. Only an end that nobody hears of is written down.
final class Launcher {
    let control: ControlSocket
    private let childSignals: Descriptor
    /// SIGTERM and SIGWINCH, by which a service manager ends launchers that have no supervisor any more.
    let endSignals: Descriptor
    private let boundingSet: Int32
    private let kept = KeptNamespaces()
    let buffer = ReadBuffer(capacity: 1024)
    var poll = PollSet()
    var attempt: Attempt?
    /// An attempt that was refused before there was a child, and whose refusal is not acknowledged yet.
    var refused: (number: UInt64, task: String, message: LauncherMessage)?
    private var isPrepared = false
    var door: Door?
    /// Set as long as there is an attempt and no supervisor.
    var solitude: Solitude?
    /// The exit status, once the launcher is to leave.
    var leaving: Int32?

    /// The other end broke the protocol (sysexits.h).
    static let protocolViolation: Int32 = 76

    init(
        control: Int32,
        childSignals: consuming Descriptor,
        endSignals: consuming Descriptor,
        boundingSet: Int32
    ) {
        self.control = ControlSocket(descriptor: control)
        self.boundingSet = boundingSet
        self.childSignals = consume childSignals
        self.endSignals = consume endSignals
    }

    /// Serves until the supervisor goes or breaks the protocol.
    ///
    /// - Returns: The exit status.
    func run() -> Int32 {
        while true {
            if let leaving, attempt == nil {
                door?.close()
                return leaving
            }
            turn()
        }
    }

    private func turn() {
        var now = monotonicNow()
        poll.clear()
        poll.watch(.children, childSignals.number)
        poll.watch(.endSignals, endSignals.number)
        if !control.isClosed { poll.watch(.control, control.descriptor, for: control.interest) }
        if solitude != nil { door?.watch(&poll) }
        attempt?.watch(&poll, at: now)
        poll.wait(until: deadline(after: now), now: now)
        now = monotonicNow()
        if poll.isReady(.children) {
            // One read takes the signal that stands for all children that have ended.
            _ = buffer.read(childSignals.number, limit: buffer.capacity)
        }
        // Before the handler's own end, which may be an answer to the same signal.
        if poll.isReady(.endSignals) { askedToEnd(at: now) }
        attempt?.handle(poll, at: now)
        if poll.isReady(.control) { serveControl(at: now) }
        attempt?.tick(at: now)
        if control.isClosed, solitude == nil { supervisorHasGone(0, at: now) }
        if solitude != nil { liveAlone(at: now) }
        if leaving != nil, attempt?.phase == .reported { attempt = nil }
    }

    private func deadline(after now: UInt64) -> UInt64? {
        let alone = solitude.map { [$0.deadline(hasEnded: endedAttempt != nil), door?.deadline] } ?? []
        return (alone + [attempt?.deadline(after: now)]).compactMap(\.self).min()
    }

    func serveControl(at now: UInt64) {
        control.flush()
        while leaving == nil, !control.isClosed {
            switch control.receive() {
            case .nothing:
                return
            case .closed:
                return
            case .violation(let words):
                reject(words, at: now)
            case .message(let message, let descriptors):
                take(message, descriptors, at: now)
            }
        }
    }

    private func take(
        _ message: SupervisorMessage,
        _ descriptors: consuming PacketDescriptors,
        at now: UInt64
    ) {
        switch message {
        case .prepare(let preparation):
            prepare(preparation, descriptors, at: now)
        case .launch(let header):
            guard isPrepared else { return reject("a launch before prepare", at: now) }
            guard attempt == nil, refused == nil else {
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
        case .eventAck(let number, let meanings):
            guard let attempt, number == attempt.number else { return }
            for meaning in meanings where !attempt.acknowledgeEvent(meaning) {
                return reject("the meaning of an event that was never sent", at: now)
            }
        case .outcomeAck(let number):
            if number == refused?.number || (number == attempt?.number && attempt?.phase == .reported) {
                forget(at: now)
            }
        case .dismiss:
            leave(0, at: now)
        case .adopt, .resume:
            reject("an adoption by the supervisor that is there", at: now)
        }
    }

    private func prepare(
        _ preparation: Preparation,
        _ descriptors: consuming PacketDescriptors,
        at now: UInt64
    ) {
        guard !isPrepared else { return reject("a second prepare", at: now) }
        guard preparation.version == LaunchLimits.protocolVersion else {
            return reject("a supervisor that speaks version \(preparation.version)", at: now)
        }
        isPrepared = true
        if let folder = descriptors.first.take() {
            guard Self.isFileName(preparation.name) else {
                return reject("a name that is no file's", at: now)
            }
            do throws(Refusal) {
                door = try Door(folder: folder, preparation: preparation)
            } catch {
                complain("cannot listen for a later supervisor (\(error.detail)): errno \(error.errno)")
                return leave(EX_CANTCREAT, at: now)
            }
        } else if !preparation.name.isEmpty {
            return reject("a name without the folder that it is for", at: now)
        }
        sayReady()
    }

    private static func isFileName(_ name: String) -> Bool {
        !name.isEmpty && !name.utf8.contains(UInt8(ascii: "/")) && name.utf8.first != UInt8(ascii: ".")
    }

    private func launch(_ header: LaunchHeader, _ descriptors: consuming PacketDescriptors, at now: UInt64) {
        var task = ""
        do throws(Refusal) {
            guard let stdin = descriptors.second.take(), let specFile = descriptors.first.take() else {
                let errno = descriptors.truncated ? EMFILE : EPROTO
                throw Refusal(
                    stage: .spec,
                    errno: errno,
                    detail: "the descriptors of spec and stdin did not come"
                )
            }
            let spec = try readSpec(header, specFile)
            task = spec.task
            attempt = try Attempt(
                spec: spec,
                stdin: stdin,
                held: descriptors.third.take(),
                control: control,
                boundingSet: boundingSet,
                kept: kept,
                now: now
            )
        } catch {
            let message = LauncherMessage.refused(
                attempt: header.attempt,
                stage: error.stage,
                errno: error.errno,
                detail: error.detail
            )
            refused = (header.attempt, task, message)
            control.send(message)
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
            // The programs were replaced by those of another version while their supervisor runs.
            var errno = EBADMSG
            if case .unknownVersion = error { errno = EPROTONOSUPPORT }
            throw Refusal(stage: .spec, errno: errno, detail: error.description)
        }
    }

    private func forget(at now: UInt64) {
        // A tree that does not end stays where it is: the next task gets a fresh launcher.
        let isSpent = (attempt?.survivors ?? 0) > 0
        attempt = nil
        refused = nil
        door?.removeRecord()
        if isSpent { leave(0, at: now) } else { sayReady() }
    }

    private func sayReady() {
        control.send(.ready(version: LaunchLimits.protocolVersion, pid: getpid()))
    }

    func reject(_ words: String, at now: UInt64) {
        complain("protocol violation: \(words)")
        control.close()
        supervisorHasGone(Self.protocolViolation, at: now)
    }

    func leave(_ status: Int32, at now: UInt64) {
        guard leaving == nil else { return }
        leaving = status
        solitude = nil
        control.close()
        attempt?.abandon(at: now)
    }
}
