"""Names of distributions that are words of their own."""

WORDS = frozenset(
    """
    about access action actions alive alpha analytics anchor arch archive array
    arrow art async atom attrs audio auth base basic beta binary black bottle box
    browser buffer build builder bundle cache call case cell chalk changes channel
    chart chat check checks class clean click client clock cloud code color colors
    columns command commands compare config connect console container context
    control converter cookies copy core counter coverage cycle dash data database
    dataset date dates debug decorator default design dialog diff directory
    distance docs document documents dot draft drop echo editor elastic email
    embed engine environment error errors event events example examples expression
    extra fabric factory fast feed field fields file files filter finder fire
    flags flow folder font fonts form format forms frame framework freeze
    functions furl fuse future futures game gap gate generate glob go graph graphs
    green grid group groups guard guide hash head header headers health help
    history hook hooks hope html http icon id image images importer index info
    init inject input inspect install instance interface item jobs join json key
    keyboard keyring keys label language launch layout lazy letter library license
    light limits line lines link links list lists live loader local lock log
    logger logging logs loop magic mail main make manager manifest map maps mark
    markdown mask match math matrix media memory menu merge mesh message messages
    meta method metrics migrate minimal mirror mixed mock mode model models module
    money monitor more multi music name names native nest network news next node
    nodes normal nose notebook number numbers object objects open option options
    orange order other outcome output package packages packaging page pages paint
    panel parse parser parts pass password paste patch patches path paths pattern
    people permission phone pilot pipe pipeline place plan plant platform play
    plot plugin plugins poetry point pool port portal post power present pretty
    print probe process processor product profile program progress project
    projects proof properties proxy publish pull pulse pure push query queue quick
    random range rank raw read reader ready real record records reference register
    registry relay release remote report reports repository request requests
    resource resources response rest result retry rich ring robot role rope route
    router routes rule rules run runner safe safety sample scale scan schedule
    schema scheme science scope score screen script scripts search secret secure
    seed select sender serial server service services session sessions set
    settings setup shape share shell shield signal signals simple site size skip
    slots small smart snap socket sources space spark speed spin split stack
    standard star start state stats status step stop storage store stream streams
    string strings strip structure style suite support sure switch symbol sync
    syntax system systems table tables tag tags target task tasks team template
    templates term terminal test tests text texts theme thing things threads
    throttle ticket time timer title token tokens tool tools torch toml total trace
    tracer track trade traits transform transitions translate tree trees trial
    trust tuple tutorial twine twisted type types unit universal update upload
    user users utils validators value values variables vault vector version
    versions video view views virtual visual wait walk wall warning watch watchdog
    watcher wave web wheel wheels widget window wire word words work worker
    workers workflow wrap wrapper write zone
    """.split()  # noqa: SIM905 - hundreds of lines as a list
)
"""English and programmers' words that are names of distributions as well.

Collected by hand from the index's most used names. A missing one costs false mentions
of that distribution, one too many costs mentions in plain prose.
"""
