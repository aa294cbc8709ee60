"""Verbs by what may stand with them, names and adjectives for grammar.py; nouns are WordNet's."""
import re

_DOUBLING = frozenset("stop hug rob grab beg plan admit forget win cut hit run sit swim spin stir drop drag rub "
                      "get let shut kid refer regret snap trip chat nod grin rip".split())
_IRREGULAR = {line.split()[0]: line.split()[1:] for line in """
see saw seen|swing swung swung|know knew known|find found found|meet met met|teach taught taught|catch caught caught
hear heard heard|leave left left|hold held held|choose chose chosen|forget forgot forgotten|hide hid hidden
take took taken|bring brought brought|buy bought bought|sell sold sold|break broke broken|build built built
draw drew drawn|write wrote written|read read read|throw threw thrown|steal stole stolen|lose lost lost
keep kept kept|eat ate eaten|drink drank drunk|sing sang sung|swim swam swum|run ran run|sleep slept slept
fall fell fallen|stand stood stood|sit sat sat|speak spoke spoken|go went gone|come came come|think thought thought
say said said|feel felt felt|understand understood understood|tell told told|give gave given|send sent sent
lend lent lent|show showed shown|shake shook shaken|tear tore torn|wear wore worn|bend bent bent|sink sank sunk
freeze froze frozen|grow grew grown|fly flew flown|drive drove driven|ride rode ridden|win won won|fight fought fought
weep wept wept|rise rose risen|hurt hurt hurt|cut cut cut|shut shut shut|blow blew blown|spend spent spent
wake woke woken|light lit lit|begin began begun|sweep swept swept|bite bit bitten|lead led led|feed fed fed
sew sewed sewn|spin spun spun|forgive forgave forgiven|upset upset upset|beat beat beaten
""".replace("\n", "|").split("|") if line.strip()}


def _stem(base, ending):
    if base in _DOUBLING:
        return base + base[-1] + ending
    if ending == "ed" and base.endswith("e"):
        return base + "d"
    if ending == "ed" and re.search("[^aeiou]y$", base):
        return base[:-1] + "ied"
    return base + ending


def ing(base):
    """The form in -ing; of "look at", "looking at"."""
    base, *rest = base.split(" ", 1)
    if rest:
        return f"{ing(base)} {rest[0]}"
    if base.endswith("e") and not base.endswith(("ee", "ye", "oe")):
        return base[:-1] + "ing"
    return _stem(base, "ing")


def forms(base):
    """(base, third person, past, past participle); the first word of several alone changes."""
    base, *rest = base.split(" ", 1)
    if rest:
        return tuple(f"{form} {rest[0]}" for form in forms(base))
    third = (base[:-1] + "ies" if re.search("[^aeiou]y$", base) else
             base + "es" if re.search("(s|x|z|ch|sh|o)$", base) else base + "s")
    past, participle = _IRREGULAR.get(base) or (_stem(base, "ed"),) * 2
    return base, third, past, participle


_VERBS = {
    "trans_person": "thank greet marry teach hire invite advise warn persuade help trust blame praise envy insult "
                    "interrupt congratulate comfort flatter convince divorce cure kiss hug scare question fire",
    "trans_thing": "repair open paint clean build sell buy carry break lift wash polish burn choose use hide "
                   "move steal throw design own rent decorate wear fix lose climb cross enter",
    "trans_any": "see find like remember forget hate describe notice love watch admire discuss ignore "
                 "recognise mention photograph draw miss recall fear dislike need choose discover bring help",
    "trans_with": "look_at listen_to talk_about think_about complain_about argue_about worry_about care_about "
                  "laugh_at wait_for walk_around run_from escape_from write_about speak_about point_at go_to "
                  "return_to hide_from smile_at pick_up bring_back boast_about walk_through",
    "intrans": "sleep laugh arrive smile swim run fall wait work cry disappear speak sing sneeze escape dance "
               "travel listen shout tremble hesitate weep yawn wander argue grin vanish complain chat rest sigh",
    "reflexive": "hurt admire blame describe see defend dress wash protect teach help like forgive trust "
                 "cut introduce praise watch",
    "clause": "think say believe know hope imagine claim admit feel suppose suspect explain",
    "question": "know ask wonder remember discover learn forget reveal find_out notice explain see",
    "both": "break open close melt move shake burn turn bend sink freeze tear boil stop start roll crack "
            "change swing fold rip spin drop bounce twist",
    "dropping": "eat read write sing paint cook drive study clean draw drink teach",
    "surprise": "surprise please annoy worry amuse shock disturb frighten upset bore disappoint",
    "giving": "give send show sell lend offer teach throw",
}
VERBS = {frame: [forms(v.replace("_", " ")) for v in verbs.split()] for frame, verbs in _VERBS.items()}

NAMES = {"m": "Thomas Peter Henry George Edward Martin Simon Andrew Oliver Daniel Michael Philip Charles Robert "
              "Paul Frank Arthur Stephen Victor Hugo David John James William Walter Ralph Oscar Leo Mark Alan "
              "Brian Kevin Steven Gary Keith Roger Joseph Samuel Patrick Richard Kenneth Jack Adam Eric".split(),
         "f": "Mary Anna Emma Alice Helen Sarah Jane Laura Emily Julia Clara Ruth Martha Lucy Sophia Eva Nora "
              "Diana Susan Margaret Rose Elizabeth Charlotte Grace Ellen Catherine Irene Monica Linda "
              "Karen Amy Carol Barbara Rebecca Rachel Patricia Angela Julie Melissa Tina Anne Victoria".split()}

ADJECTIVES = ("old young new big small happy sad tired clever kind strange famous quiet tall rich poor strong "
              "beautiful careful serious lucky proud angry calm honest brave gentle important interesting dirty "
              "clean heavy broken lost red green white black blue brown expensive cheap useful").split()
RELATIONS = ("friend sister brother mother father daughter son teacher neighbour picture story owner leader "
             "history colour friend cousin aunt uncle student author photograph description").split()
NEGATED = {"can": "can't", "could": "couldn't", "would": "wouldn't", "should": "shouldn't", "will": "won't",
           "must": "must not", "might": "might not", "is": "isn't", "are": "aren't", "was": "wasn't",
           "were": "weren't", "has": "hasn't", "have": "haven't", "had": "hadn't", "does": "doesn't",
           "do": "don't", "did": "didn't"}
MODALS = ("can", "could", "would", "should", "will", "must", "might")
TELLING = frozenset("story picture history description".split())
PEOPLE = ("man woman child teacher doctor friend student lawyer neighbour girl boy artist farmer writer guest "
          "king queen nurse actor waiter customer driver dancer soldier lady man woman child senator actress "
          "waitress").split()
ANIMALS = "dog cat horse cow bird fish sheep wolf bear lion snake rabbit mouse goose duck".split()
THINGS = ("book car house window door lamp table chair letter cup hat picture bicycle glass bottle box knife shirt "
          "painting boat newspaper radio computer coat skirt sock plate fork spoon truck museum school "
          "library mountain river hospital restaurant story analysis thesis hypothesis crisis phenomenon "
          "cactus").split()
PLURALS = {"man": "men", "woman": "women", "child": "children", "person": "people", "knife": "knives",
           "wife": "wives", "thief": "thieves", "wolf": "wolves", "sheep": "sheep", "deer": "deer",
           "mouse": "mice", "goose": "geese", "fish": "fish", "photo": "photos", "piano": "pianos",
           "radio": "radios", "hero": "heroes", "calf": "calves", "leaf": "leaves", "shelf": "shelves",
           "analysis": "analyses", "thesis": "theses", "hypothesis": "hypotheses", "crisis": "crises",
           "phenomenon": "phenomena", "cactus": "cacti"}
# Nouns of WordNet that are no plain count nouns, or whose plural is another word.
AVOIDED = frozenset("drug clothing furniture clothes equipment ware weaponry hardware cotton silk wool alcohol "
                    "people folk staff livestock poultry cattle youth kin offspring public artillery software "
                    "footwear silverware jewelry jewellery china plastic nylon leather media bacteria native "
                    "nude virgin cripple executioner heroin cocaine bum".split())
