"""Small tables of facts, written for this project from general knowledge."""

# name|capital|continent|people and adjective|language|currency
_COUNTRIES = """
Afghanistan|Kabul|Asia|Afghan|Pashto|afghani
Albania|Tirana|Europe|Albanian|Albanian|lek
Algeria|Algiers|Africa|Algerian|Arabic|dinar
Andorra|Andorra la Vella|Europe|Andorran|Catalan|euro
Angola|Luanda|Africa|Angolan|Portuguese|kwanza
Argentina|Buenos Aires|South America|Argentine|Spanish|peso
Armenia|Yerevan|Asia|Armenian|Armenian|dram
Australia|Canberra|Oceania|Australian|English|dollar
Austria|Vienna|Europe|Austrian|German|euro
Azerbaijan|Baku|Asia|Azerbaijani|Azerbaijani|manat
Bahrain|Manama|Asia|Bahraini|Arabic|dinar
Bangladesh|Dhaka|Asia|Bangladeshi|Bengali|taka
Barbados|Bridgetown|North America|Barbadian|English|dollar
Belarus|Minsk|Europe|Belarusian|Belarusian|ruble
Belgium|Brussels|Europe|Belgian|Dutch|euro
Belize|Belmopan|North America|Belizean|English|dollar
Benin|Porto-Novo|Africa|Beninese|French|franc
Bhutan|Thimphu|Asia|Bhutanese|Dzongkha|ngultrum
Botswana|Gaborone|Africa|Botswanan|English|pula
Brazil|Brasília|South America|Brazilian|Portuguese|real
Bulgaria|Sofia|Europe|Bulgarian|Bulgarian|
Burkina Faso|Ouagadougou|Africa|Burkinabe|French|franc
Burundi|Gitega|Africa|Burundian|Kirundi|franc
Cambodia|Phnom Penh|Asia|Cambodian|Khmer|riel
Cameroon|Yaoundé|Africa|Cameroonian|French|franc
Canada|Ottawa|North America|Canadian|English|dollar
Chad|N'Djamena|Africa|Chadian|French|franc
Chile|Santiago|South America|Chilean|Spanish|peso
China|Beijing|Asia|Chinese|Chinese|yuan
Colombia|Bogotá|South America|Colombian|Spanish|peso
Costa Rica|San José|North America|Costa Rican|Spanish|colón
Croatia|Zagreb|Europe|Croatian|Croatian|euro
Cuba|Havana|North America|Cuban|Spanish|peso
Cyprus|Nicosia|Europe|Cypriot|Greek|euro
Denmark|Copenhagen|Europe|Danish|Danish|krone
Djibouti|Djibouti|Africa|Djiboutian|French|franc
Ecuador|Quito|South America|Ecuadorian|Spanish|dollar
Egypt|Cairo|Africa|Egyptian|Arabic|pound
El Salvador|San Salvador|North America|Salvadoran|Spanish|dollar
Eritrea|Asmara|Africa|Eritrean|Tigrinya|nakfa
Estonia|Tallinn|Europe|Estonian|Estonian|euro
Ethiopia|Addis Ababa|Africa|Ethiopian|Amharic|birr
Fiji|Suva|Oceania|Fijian|English|dollar
Finland|Helsinki|Europe|Finnish|Finnish|euro
France|Paris|Europe|French|French|euro
Gabon|Libreville|Africa|Gabonese|French|franc
Georgia|Tbilisi|Asia|Georgian|Georgian|lari
Germany|Berlin|Europe|German|German|euro
Ghana|Accra|Africa|Ghanaian|English|cedi
Greece|Athens|Europe|Greek|Greek|euro
Guatemala|Guatemala City|North America|Guatemalan|Spanish|quetzal
Guinea|Conakry|Africa|Guinean|French|franc
Guyana|Georgetown|South America|Guyanese|English|dollar
Haiti|Port-au-Prince|North America|Haitian|French|gourde
Honduras|Tegucigalpa|North America|Honduran|Spanish|lempira
Hungary|Budapest|Europe|Hungarian|Hungarian|forint
Iceland|Reykjavík|Europe|Icelandic|Icelandic|króna
India|New Delhi|Asia|Indian|Hindi|rupee
Indonesia|Jakarta|Asia|Indonesian|Indonesian|rupiah
Iran|Tehran|Asia|Iranian|Persian|rial
Iraq|Baghdad|Asia|Iraqi|Arabic|dinar
Ireland|Dublin|Europe|Irish|English|euro
Italy|Rome|Europe|Italian|Italian|euro
Jamaica|Kingston|North America|Jamaican|English|dollar
Japan|Tokyo|Asia|Japanese|Japanese|yen
Jordan|Amman|Asia|Jordanian|Arabic|dinar
Kazakhstan|Astana|Asia|Kazakh|Kazakh|tenge
Kenya|Nairobi|Africa|Kenyan|Swahili|shilling
Kuwait|Kuwait City|Asia|Kuwaiti|Arabic|dinar
Kyrgyzstan|Bishkek|Asia|Kyrgyz|Kyrgyz|som
Laos|Vientiane|Asia|Laotian|Lao|kip
Latvia|Riga|Europe|Latvian|Latvian|euro
Lebanon|Beirut|Asia|Lebanese|Arabic|pound
Lesotho|Maseru|Africa|Basotho|Sesotho|loti
Liberia|Monrovia|Africa|Liberian|English|dollar
Libya|Tripoli|Africa|Libyan|Arabic|dinar
Liechtenstein|Vaduz|Europe||German|franc
Lithuania|Vilnius|Europe|Lithuanian|Lithuanian|euro
Luxembourg|Luxembourg|Europe||Luxembourgish|euro
Madagascar|Antananarivo|Africa|Malagasy|Malagasy|ariary
Malawi|Lilongwe|Africa|Malawian|English|kwacha
Malaysia|Kuala Lumpur|Asia|Malaysian|Malay|ringgit
Mali|Bamako|Africa|Malian||franc
Malta|Valletta|Europe|Maltese|Maltese|euro
Mauritania|Nouakchott|Africa|Mauritanian|Arabic|ouguiya
Mauritius|Port Louis|Africa|Mauritian|English|rupee
Mexico|Mexico City|North America|Mexican|Spanish|peso
Moldova|Chişinău|Europe|Moldovan|Romanian|leu
Monaco|Monaco|Europe|Monegasque|French|euro
Mongolia|Ulaanbaatar|Asia|Mongolian|Mongolian|tugrik
Montenegro|Podgorica|Europe|Montenegrin|Montenegrin|euro
Morocco|Rabat|Africa|Moroccan|Arabic|dirham
Mozambique|Maputo|Africa|Mozambican|Portuguese|metical
Myanmar|Naypyidaw|Asia|Burmese|Burmese|kyat
Namibia|Windhoek|Africa|Namibian|English|dollar
Nepal|Kathmandu|Asia|Nepalese|Nepali|rupee
New Zealand|Wellington|Oceania||English|dollar
Nicaragua|Managua|North America|Nicaraguan|Spanish|córdoba
Niger|Niamey|Africa||French|franc
Nigeria|Abuja|Africa|Nigerian|English|naira
North Korea|Pyongyang|Asia|North Korean|Korean|won
North Macedonia|Skopje|Europe|Macedonian|Macedonian|denar
Norway|Oslo|Europe|Norwegian|Norwegian|krone
Oman|Muscat|Asia|Omani|Arabic|rial
Pakistan|Islamabad|Asia|Pakistani|Urdu|rupee
Panama|Panama City|North America|Panamanian|Spanish|balboa
Papua New Guinea|Port Moresby|Oceania||English|kina
Paraguay|Asunción|South America|Paraguayan|Spanish|guarani
Peru|Lima|South America|Peruvian|Spanish|sol
Poland|Warsaw|Europe|Polish|Polish|zloty
Portugal|Lisbon|Europe|Portuguese|Portuguese|euro
Qatar|Doha|Asia|Qatari|Arabic|riyal
Romania|Bucharest|Europe|Romanian|Romanian|leu
Russia|Moscow|Europe|Russian|Russian|ruble
Rwanda|Kigali|Africa|Rwandan|Kinyarwanda|franc
Samoa|Apia|Oceania|Samoan|Samoan|tala
Saudi Arabia|Riyadh|Asia|Saudi|Arabic|riyal
Senegal|Dakar|Africa|Senegalese|French|franc
Serbia|Belgrade|Europe|Serbian|Serbian|dinar
Sierra Leone|Freetown|Africa|Sierra Leonean|English|leone
Singapore|Singapore|Asia|Singaporean|English|dollar
Slovakia|Bratislava|Europe|Slovak|Slovak|euro
Slovenia|Ljubljana|Europe|Slovenian|Slovene|euro
Somalia|Mogadishu|Africa|Somali|Somali|shilling
South Korea|Seoul|Asia|South Korean|Korean|won
Spain|Madrid|Europe|Spanish|Spanish|euro
Sudan|Khartoum|Africa|Sudanese|Arabic|pound
Suriname|Paramaribo|South America|Surinamese|Dutch|dollar
Sweden|Stockholm|Europe|Swedish|Swedish|krona
Switzerland|Bern|Europe|Swiss|German|franc
Syria|Damascus|Asia|Syrian|Arabic|pound
Tajikistan|Dushanbe|Asia|Tajik|Tajik|somoni
Tanzania|Dodoma|Africa|Tanzanian|Swahili|shilling
Thailand|Bangkok|Asia|Thai|Thai|baht
Togo|Lomé|Africa|Togolese|French|franc
Tonga|Nuku'alofa|Oceania|Tongan|Tongan|
Tunisia|Tunis|Africa|Tunisian|Arabic|dinar
Turkey|Ankara|Asia|Turkish|Turkish|lira
Turkmenistan|Ashgabat|Asia|Turkmen|Turkmen|manat
Uganda|Kampala|Africa|Ugandan|English|shilling
Ukraine|Kyiv|Europe|Ukrainian|Ukrainian|hryvnia
England|London|Europe|English|English|pound
Scotland|Edinburgh|Europe|Scottish|English|pound
Wales|Cardiff|Europe|Welsh|Welsh|pound
the Czech Republic|Prague|Europe|Czech|Czech|koruna
the Dominican Republic|Santo Domingo|North America|Dominican|Spanish|peso
the Netherlands|Amsterdam|Europe|Dutch|Dutch|euro
the Philippines|Manila|Asia|Philippine|Filipino|peso
the United Arab Emirates|Abu Dhabi|Asia||Arabic|dirham
the United Kingdom|London|Europe|British|English|pound
the United States|Washington|North America|American|English|dollar
Uruguay|Montevideo|South America|Uruguayan|Spanish|peso
Uzbekistan|Tashkent|Asia|Uzbek|Uzbek|som
Venezuela|Caracas|South America|Venezuelan|Spanish|bolívar
Vietnam|Hanoi|Asia|Vietnamese|Vietnamese|dong
Yemen|Sanaa|Asia|Yemeni|Arabic|rial
Zambia|Lusaka|Africa|Zambian|English|kwacha
Zimbabwe|Harare|Africa|Zimbabwean|English|
"""
COUNTRIES = [tuple(line.split("|")) for line in _COUNTRIES.strip().split("\n")]

# Those whose capitals a reader is likeliest to ask for.
BEST_KNOWN = set("""France, Germany, Italy, Spain, England, Scotland, Ireland, Portugal, Greece, Poland, Russia,
Ukraine, Sweden, Norway, Denmark, Finland, Austria, Hungary, Belgium, the Netherlands, Switzerland,
the Czech Republic, Romania, Turkey, Egypt, Kenya, Ethiopia, Nigeria, Morocco, Japan, China, India,
South Korea, Thailand, Iran, Iraq, Canada, the United States, Mexico, Cuba, Peru, Argentina, Chile,
Australia""".replace("\n", " ").split(", "))

NEIGHBOURS = [tuple(pair.split("-")) for pair in (
    "France-Spain France-Germany France-Belgium France-Italy Germany-Poland Germany-Denmark "
    "Germany-Austria Austria-Hungary Italy-Austria Italy-Slovenia Portugal-Spain Norway-Sweden "
    "Finland-Sweden Finland-Russia Poland-Ukraine Greece-Bulgaria Greece-Albania Romania-Hungary "
    "Canada-Alaska Mexico-Guatemala Brazil-Argentina Argentina-Chile Peru-Bolivia Colombia-Ecuador "
    "Egypt-Libya Egypt-Sudan Kenya-Tanzania Nigeria-Niger India-Nepal India-Pakistan China-Mongolia "
    "China-Vietnam Thailand-Laos Thailand-Cambodia Iran-Iraq Turkey-Syria Turkey-Greece "
    "Switzerland-France Switzerland-Italy Belgium-Luxembourg Estonia-Latvia Latvia-Lithuania "
    "Morocco-Algeria Algeria-Tunisia Zambia-Zimbabwe Uruguay-Brazil").split()]

_STATES = """
Alabama Montgomery|Alaska Juneau|Arizona Phoenix|Arkansas Little Rock|California Sacramento|
Colorado Denver|Connecticut Hartford|Delaware Dover|Florida Tallahassee|Georgia Atlanta|
Hawaii Honolulu|Idaho Boise|Illinois Springfield|Indiana Indianapolis|Iowa Des Moines|Kansas Topeka|
Kentucky Frankfort|Louisiana Baton Rouge|Maine Augusta|Maryland Annapolis|Massachusetts Boston|
Michigan Lansing|Minnesota Saint Paul|Mississippi Jackson|Missouri Jefferson City|Montana Helena|
Nebraska Lincoln|Nevada Carson City|Ohio Columbus|Oklahoma Oklahoma City|Oregon Salem|
Pennsylvania Harrisburg|Tennessee Nashville|Texas Austin|Utah Salt Lake City|Vermont Montpelier|
Virginia Richmond|Washington Olympia|Wisconsin Madison|Wyoming Cheyenne"""
STATES = [tuple(s.strip().split(" ", 1)) for s in _STATES.replace("\n", "").split("|") if s.strip()]

# animal|young|sound as a verb|group|class|home
_ANIMALS = """
dog|puppy|barks|pack|mammal|kennel
cat|kitten|meows||mammal|
cow|calf|moos|herd|mammal|barn
horse|foal|neighs|herd|mammal|stable
sheep|lamb|bleats|flock|mammal|fold
goat|kid|bleats|herd|mammal|
pig|piglet|grunts|herd|mammal|sty
lion|cub|roars|pride|mammal|den
wolf|cub|howls|pack|mammal|den
bear|cub|growls||mammal|den
fox|cub|||mammal|den
elephant|calf|trumpets|herd|mammal|
whale|calf||pod|mammal|sea
dolphin|calf||pod|mammal|sea
deer|fawn||herd|mammal|forest
kangaroo|joey|||mammal|
hen|chick|clucks|flock|bird|coop
duck|duckling|quacks|flock|bird|
goose|gosling|honks|flock|bird|
swan|cygnet|||bird|
owl|owlet|hoots||bird|nest
eagle|eaglet|||bird|nest
frog|tadpole|croaks||amphibian|pond
bee||buzzes|swarm|insect|hive
ant|||colony|insect|nest
butterfly|caterpillar|||insect|
spider||||arachnid|web
snake||hisses||reptile|
lizard||||reptile|
crocodile||||reptile|river
tortoise||||reptile|
salmon|||school|fish|river
shark||||fish|sea
herring|||school|fish|sea
mouse||squeaks||mammal|hole
rabbit||||mammal|burrow
monkey||chatters|troop|mammal|
donkey|foal|brays||mammal|stable
lark||sings||bird|nest
crow||caws||bird|nest
pigeon||coos|flock|bird|
bat||||mammal|cave
"""
ANIMALS = [tuple(line.split("|")) for line in _ANIMALS.strip().split("\n")]

# thing|its class, beside what WordNet says
_CLASSES = """
violin guitar piano flute trumpet cello harp drum clarinet oboe trombone viola tuba saxophone lute
organ banjo bassoon mandolin harpsichord accordion|musical instrument
apple pear banana cherry plum peach grape lemon orange melon strawberry mango apricot pineapple|fruit
carrot potato onion cabbage turnip lettuce spinach pea bean leek cucumber|vegetable
rose tulip lily daisy violet orchid daffodil carnation sunflower poppy|flower
oak birch maple pine willow elm beech ash fir cedar poplar|tree
hammer saw chisel screwdriver drill plane rasp wrench|tool
chair table bed sofa desk wardrobe cupboard bookcase|piece of furniture
coat shirt jacket skirt dress sweater hat glove scarf|piece of clothing
sword spear dagger bow cannon rifle pistol axe|weapon
car bus truck bicycle train tram motorcycle van|vehicle
ship canoe yacht ferry barge sailboat submarine|vessel
football tennis chess hockey golf baseball basketball cricket|game
iron copper gold silver lead tin zinc nickel aluminium|metal
oxygen hydrogen nitrogen helium neon argon|gas
red blue green yellow purple brown pink orange|colour
circle triangle square rectangle pentagon hexagon|shape
physics chemistry biology geology astronomy botany zoology|science
diamond ruby emerald sapphire topaz|precious stone
cholera measles malaria tuberculosis influenza|disease
milk water tea coffee wine beer juice|drink
January March May July August October December|month of the year
Monday Tuesday Wednesday Thursday Friday Saturday Sunday|day of the week
spring summer autumn winter|season of the year
Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune|planet
"""
CLASSES = [(line.rpartition("|")[0].split(), line.rpartition("|")[2])
           for line in _CLASSES.strip().replace("lute\norgan", "lute organ").split("\n")]

# person|noun|deed in the past tense|born in (country)|field
_PEOPLE = """
William Shakespeare|playwright|wrote the play "Hamlet"|England
Jane Austen|novelist|wrote the novel "Pride and Prejudice"|England
Charles Dickens|novelist|wrote the novel "Oliver Twist"|England
Leo Tolstoy|novelist|wrote the novel "War and Peace"|Russia
Miguel de Cervantes|writer|wrote the novel "Don Quixote"|Spain
Dante Alighieri|poet|wrote the "Divine Comedy"|Italy
Homer|poet|is said to have composed the "Iliad"|Greece
Victor Hugo|novelist|wrote the novel "Les Misérables"|France
Mark Twain|writer|wrote the novel "The Adventures of Tom Sawyer"|the United States
Herman Melville|novelist|wrote the novel "Moby-Dick"|the United States
Mary Shelley|novelist|wrote the novel "Frankenstein"|England
Leonardo da Vinci|painter|painted the "Mona Lisa"|Italy
Vincent van Gogh|painter|painted "The Starry Night"|the Netherlands
Michelangelo|sculptor|painted the ceiling of the Sistine Chapel|Italy
Ludwig van Beethoven|composer|composed nine symphonies|Germany
Wolfgang Amadeus Mozart|composer|composed the opera "The Magic Flute"|Austria
Johann Sebastian Bach|composer|composed the Brandenburg Concertos|Germany
Isaac Newton|physicist|discovered the law of gravitation|England
Albert Einstein|physicist|developed the theory of relativity|Germany
Galileo Galilei|astronomer|observed the moons of Jupiter|Italy
Nicolaus Copernicus|astronomer|taught that the Earth moves around the Sun|Poland
Johannes Kepler|astronomer|found the laws of planetary motion|Germany
Charles Darwin|naturalist|developed the theory of evolution by natural selection|England
Marie Curie|chemist|discovered radium|Poland
Louis Pasteur|chemist|showed that germs cause disease|France
Alexander Fleming|biologist|discovered penicillin|Scotland
Gregor Mendel|monk|found the laws of heredity|Austria
Johannes Gutenberg|printer|introduced printing with movable type to Europe|Germany
Alexander Graham Bell|inventor|patented the telephone|Scotland
Thomas Edison|inventor|invented the phonograph|the United States
James Watt|engineer|improved the steam engine|Scotland
Ada Lovelace|mathematician|wrote the first published computer program|England
Alan Turing|mathematician|described a universal computing machine|England
Euclid|mathematician|wrote the "Elements"|Greece
Archimedes|mathematician|discovered the law of buoyancy|Greece
Christopher Columbus|explorer|sailed across the Atlantic Ocean in 1492|Italy
Roald Amundsen|explorer|reached the South Pole in 1911|Norway
Neil Armstrong|astronaut|was the first person to walk on the Moon|the United States
Yuri Gagarin|cosmonaut|was the first human being in space|Russia
"""
PEOPLE = [tuple(line.split("|")) for line in _PEOPLE.strip().split("\n")]

_TRADES = """
baker|bakes bread|bakery
teacher|teaches children|school
doctor|treats sick people|hospital
nurse|cares for patients|hospital
farmer|grows crops|farm
carpenter|makes things of wood|workshop
tailor|makes clothes|shop
butcher|sells meat|shop
barber|cuts hair|shop
plumber|repairs pipes|
pilot|flies aeroplanes|airport
sailor|works on a ship|ship
librarian|looks after books|library
painter|paints pictures|studio
composer|writes music|
author|writes books|
judge|decides cases of law|court
lawyer|gives advice about the law|court
actor|plays parts on the stage|theatre
chef|cooks meals|restaurant
waiter|serves guests|restaurant
miner|digs for coal or ore|mine
fisherman|catches fish|boat
gardener|looks after plants|garden
shepherd|looks after sheep|
photographer|takes photographs|studio
mechanic|repairs machines|garage
programmer|writes programs|office
astronomer|studies the stars|observatory
chemist|studies substances|laboratory
geologist|studies rocks|
botanist|studies plants|garden
historian|studies the past|university
dentist|treats teeth|
soldier|serves in an army|
king|rules a kingdom|palace
"""
TRADES = [tuple(line.split("|")) for line in _TRADES.strip().split("\n")]

UNITS = [tuple(u.split("|")) for u in (
    "minute|second|sixty;hour|minute|sixty;day|hour|twenty-four;week|day|seven;year|month|twelve;"
    "decade|year|ten;century|year|hundred;millennium|year|thousand;kilometre|metre|thousand;"
    "metre|centimetre|hundred;kilogram|gram|thousand;tonne|kilogram|thousand;foot|inch|twelve;"
    "yard|foot|three;dozen|piece|twelve;litre|millilitre|thousand;byte|bit|eight;"
    "pound|ounce|sixteen;gallon|pint|eight;kilobyte|byte|thousand").split(";")]

OPPOSITES = [tuple(p.split("-")) for p in (
    "hot-cold big-small tall-short long-short old-young old-new rich-poor good-bad happy-sad fast-slow "
    "high-low light-dark light-heavy hard-soft wet-dry clean-dirty full-empty open-closed strong-weak "
    "near-far early-late easy-difficult loud-quiet thick-thin wide-narrow deep-shallow left-right "
    "true-false first-last north-south east-west day-night up-down inside-outside black-white "
    "war-peace life-death love-hate question-answer beginning-end winter-summer").split()]

THINGS = [tuple(p.split("|")) for p in (
    "grass|green;snow|white;blood|red;the sky|blue;coal|black;milk|white;the sun|yellow;a lemon|yellow;"
    "a ripe tomato|red;chocolate|brown;an emerald|green;a ruby|red;a sapphire|blue;ivory|white;"
    "soot|black;an orange|orange").split(";")]

USES = [tuple(p.split("|")) for p in (
    "knife|cut things;key|open locks;pen|write;hammer|drive nails;needle|sew;spoon|eat soup;"
    "telescope|look at the stars;microscope|look at very small things;thermometer|measure temperature;"
    "clock|tell the time;ruler|draw straight lines;scale|weigh things;compass|find north;"
    "lamp|give light;stove|cook food;bridge|cross a river;camera|take pictures;umbrella|keep off rain;"
    "broom|sweep the floor;ladder|climb to high places;map|find the way;dictionary|look up words;"
    "barometer|measure the pressure of the air;anchor|hold a ship in place;oven|bake bread;"
    "computer|process information;printer|print documents;keyboard|type text;mouse|move the pointer;"
    "saw|cut wood;bucket|carry water;pillow|rest the head").split(";")]

IRREGULAR = [tuple(p.split("-")) for p in (
    "man-men woman-women child-children foot-feet tooth-teeth goose-geese mouse-mice louse-lice ox-oxen "
    "person-people leaf-leaves knife-knives wife-wives life-lives half-halves wolf-wolves thief-thieves "
    "shelf-shelves loaf-loaves calf-calves sheep-sheep deer-deer fish-fish crisis-crises "
    "analysis-analyses thesis-theses oasis-oases phenomenon-phenomena criterion-criteria "
    "bacterium-bacteria datum-data cactus-cacti fungus-fungi nucleus-nuclei stimulus-stimuli "
    "alumnus-alumni larva-larvae alga-algae vertebra-vertebrae index-indices matrix-matrices").split()]

RIVERS = [tuple(p.split("|")) for p in (
    "Nile|Africa|the Mediterranean Sea;Amazon|South America|the Atlantic Ocean;Danube|Europe|the Black Sea;"
    "Rhine|Europe|the North Sea;Mississippi|North America|the Gulf of Mexico;"
    "Ganges|Asia|the Bay of Bengal;Volga|Europe|the Caspian Sea;Congo|Africa|the Atlantic Ocean;"
    "Yangtze|Asia|the East China Sea;Thames|Europe|the North Sea;Elbe|Europe|the North Sea;"
    "Seine|Europe|the English Channel;Mekong|Asia|the South China Sea;"
    "Niger|Africa|the Gulf of Guinea").split(";")]

SIGHTS = [tuple(p.split("|")) for p in (
    "the Eiffel Tower|Paris;the Colosseum|Rome;the Parthenon|Athens;the Brandenburg Gate|Berlin;"
    "Big Ben|London;the Statue of Liberty|New York;the Kremlin|Moscow;the Louvre|Paris;"
    "the Alhambra|Granada;the Hagia Sophia|Istanbul;the Forbidden City|Beijing;"
    "the Sydney Opera House|Sydney;the Prado|Madrid;the Hermitage|Saint Petersburg").split(";")]
