import ArgumentParser
import BulkheadCore
import BulkheadEngine
import BulkheadHTTP
import BulkheadHost
import Foundation
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals

/// `bulkhead serve`: the supervisor.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the supervisor.",
        discussion: """
            Each setting is taken from its flag, else from the environment (BULKHEAD_STATE and so on), else from \
            the config file (./bulkhead.yaml or /etc/bulkhead/bulkhead.yaml), else from its default. SIGTERM ends \
            the supervisor and leaves what runs to the next one; with --on-stop stop, and at SIGINT (Ctrl-C), \
            it is stopped. A second signal ends the supervisor at once and leaves what still runs. \
            SIGHUP reads settings, handlers, policies and pools again.
            """
    )

    @OptionGroup var settings: SettingFlags

    @Option(help: ArgumentHelp("What standard error tells: \(LogLevel.words).", valueName: "level"))
    var logLevel = LogLevel(level: .notice)

    @Option(help: ArgumentHelp("The same as --listen unix:PATH.", valueName: "path"))
    var socket: String?

    @Flag(help: "When ready, print one JSON document: version, pid, addresses and folders.")
    var json = false

    func run() async throws {
        if FirstProcess.isThis { try await ContainerInit.run() }
        umask(0o077)
        OwnProcess.boundMemoryArenas()
        CrashSignals.restoreDefaults()
        let notification = try ServiceNotification.take()
        let read = { @Sendable [flags = settings.written(socket: socket), config = settings.config] in
            try Settings(SettingSources(flags: flags, config: config))
        }
        let settings = try read()
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "bulkhead")
        logger.logLevel = logLevel.level
        let listen = settings.listen.map { ListenAddress.unix(path: $0.path) }
        let porter = Porter(listen: listen, socketGroup: settings.socketGroup, logger: logger)
        let notices = ServiceNotices(notification, logger: logger)
        let supervisor = try await Supervisor.open(try settings.forSupervisor(), logger: logger) {
            await notices.starting("looking through the database") { await porter.run() }
        }
        let listeners = try Listener.services(
            listen: listen,
            supervisor: supervisor,
            socketGroup: settings.socketGroup,
            logger: logger
        )
        let readiness = Readiness(
            supervisor: supervisor,
            listeners: listeners,
            addresses: settings.listen.map(\.description)
        )
        let announcement = Announcement(readiness: readiness, settings: settings, asJSON: json)
        let reload = SettingsReload(
            read: read,
            settings: settings,
            readiness: readiness,
            notices: notices,
            logger: logger
        )
        // Services end in the reverse of this order, so that the API answers until the supervisor has ended.
        let ends: [any Service] = [ReadyNotice(readiness: readiness, notices: notices), reload]
        let services: [any Service] =
            [Watchdog(supervisor: supervisor, notices: notices)] + listeners + [supervisor, announcement]
            + ends
        try await Self.run(services, logger: logger) { signal in
            let isLeft = signal == .sigterm && settings.onStop == .leave
            supervisor.setStopMode(isLeft ? .leave : .stop)
            return isLeft
        }
    }

    /// Runs the services until a signal comes.
    /// - Parameters:
    ///   - services: The services.
    ///   - logger: Where they say what happens.
    ///   - prepare: Called with the first signal, before anything ends; whether what runs is left.
    /// - Throws: What a service threw.
    private static func run(
        _ services: [any Service],
        logger: Logger,
        prepare: @escaping @Sendable (UnixSignal) -> Bool
    ) async throws {
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) },
                logger: Self.quiet(logger)
            )
        )
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let listener = Task { await end(group, at: signals, prepare) }
        defer { listener.cancel() }
        do {
            try await group.run()
        } catch let error as ServiceGroupError where error == .alreadyFinished() {
            // A signal came before anything had begun.
        }
    }

    /// The group tells its own steps at `info` already; they are of no use to whoever runs a supervisor.
    private static func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        if logger.logLevel > .debug { logger.logLevel = max(logger.logLevel, .warning) }
        return logger
    }

    /// The first signal begins the graceful stop; whoever sends another wants no grace.
    private static func end(
        _ group: ServiceGroup,
        at signals: UnixSignalsSequence,
        _ prepare: (UnixSignal) -> Bool
    ) async {
        var count = 0
        for await signal in signals {
            count += 1
            guard count == 1 else { _exit(128 + signal.rawValue) }
            let isLeft = prepare(signal)
            let what = isLeft ? "what runs is left to the next supervisor" : "what runs is stopped"
            Console.words.line("bulkhead: stopping, \(what); a second signal ends at once")
            await group.triggerGracefulShutdown()
        }
    }
}

/// Says once that the supervisor takes work, where, and how to stop it.
private struct Announcement: Service {
    let readiness: Readiness
    let settings: Settings
    let asJSON: Bool

    func run() async throws {
        await cancelWhenGracefulShutdown {
            // Whoever is told to stop before it is ready has nothing to announce, and that is no failure.
            guard (try? await readiness.wait()) != nil else { return }
            await announce()
        }
        try? await gracefulShutdown()
    }

    private func announce() async {
        let plugins = await readiness.supervisor.plugins()
        let usable = plugins.count { $0.type != nil && $0.problems.isEmpty }
        if asJSON { Console.data.document(document(handlers: usable)) }
        let problems =
            usable == plugins.count
            ? "" : ", \(plugins.count - usable) with problems (see \"bulkhead plugins\")"
        Console.words.line(
            "bulkhead \(Bulkhead.version): ready at \(readiness.addresses.joined(separator: ", ")); "
                + "\(usable) handlers in \(settings.plugins)\(problems); "
                + "stop with Ctrl-C or \"kill \(getpid())\""
        )
    }

    private func document(handlers: Int) -> JSONValue {
        .object([
            "version": .string(Bulkhead.version),
            "pid": .integer(getpid()),
            "listen": .array(readiness.addresses.map(JSONValue.string)),
            "stateFolder": .string(readiness.supervisor.stateFolderPath),
            "pluginsFolder": .string(settings.plugins),
            "policiesFolder": .string(settings.policies),
            "handlers": .integer(handlers),
        ])
    }
}

extension Settings {
    /// The settings in the engine's terms.
    fileprivate func forSupervisor() throws(BulkheadError) -> SupervisorSettings {
        var supervisor = SupervisorSettings(
            version: Bulkhead.version,
            pluginsFolder: plugins,
            policiesFolder: policies,
            stateFolder: state,
            launcherExecutable: try LauncherProgram.path()
        )
        supervisor.scratchFolder = scratch
        supervisor.spoolCap = spoolCap
        supervisor.terminalReserve = terminalReserve
        supervisor.resultLimit = resultLimit
        supervisor.outboxIsOn = outboxIsOn
        supervisor.dynamicUsers = dynamicUsers
        supervisor.drain = drain
        supervisor.retention = retention
        return supervisor
    }
}

/// How much standard error tells, on the command line.
struct LogLevel: ExpressibleByArgument {
    let level: Logger.Level

    static let words = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
    static let allValueStrings = Logger.Level.allCases.map(\.rawValue)

    var defaultValueDescription: String { level.rawValue }

    init(level: Logger.Level) { self.level = level }

    init?(argument: String) {
        guard let level = Logger.Level(rawValue: argument) else { return nil }
        self.level = level
    }
}
