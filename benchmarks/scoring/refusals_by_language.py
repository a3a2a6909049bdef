"""How models refuse in other languages than English: the phrases that they use most.

Patterns over one sentence in lower case, found anywhere in it.
"""

# ruff: noqa: RUF001 - letters of other scripts are meant

OTHERS = {
    "German": (
        r"wei(?:ß|ss) (?:ich |es )?(?:leider )?nicht|keine (?:angaben?|informationen|antwort|"
        r"auskunft)\b|nicht (?:\w+ )?(?:angegeben|erwähnt|genannt|beantwort\w*|bekannt|im text|"
        r"hervor|ersichtlich|bestimmbar|enthalten)|(?:der|im) text .*\b(?:sagt|nennt|erwähnt|"
        r"enthält|steht|gibt)\b.*\b(?:nicht|nichts|keine\w*)\b|sagt (?:der|dieser) text nichts|"
        r"keine information\b|^(?:im|in diesem|in dem) text (?:wird|werden|ist|sind|"
        r"findet sich) kein\w*\b|unbekannt$|lässt sich nicht (?:sagen|beantworten|bestimmen)"
    ),
    "French": (
        r"je ne (?:sais|connais) pas|(?:n'est|ne sont|n'a|est) (?:pas|nulle part) (?:\w+ "
        r")?(?:mentionné|précisé|indiqué|spécifié|dit|donné|dans le texte)\w*|ne (?:le |la |les |"
        r"l')?(?:dit|mentionne|précise|indique|donne|permet|contient|fournit) (?:pas|rien|aucun)|"
        r"pas (?:dans le texte|d'informations?|mentionné|précisé)|^non (?:précisé|mentionné|"
        r"indiqué|spécifié)e?s?$|aucune (?:information|réponse|mention|indication)|"
        r"impossible (?:de|à) (?:dire|savoir|déterminer|répondre)|^inconnue?$"
    ),
    "Spanish": (
        r"no (?:lo )?sé\b|no (?:puedo|se puede|podemos) (?:determinar|saber|responder)\w*|"
        r"no se (?:menciona|indica|especifica|dice|sabe|proporciona|puede (?:determinar|saber|"
        r"responder))|no (?:está|figura|aparece) (?:\w+ )?en el texto|el texto no (?:\w+ "
        r")?(?:dice|menciona|indica|especifica|proporciona|da|contiene)|no hay (?:suficiente "
        r")?(?:información|respuesta|mención|datos)|^desconocid[oa]$|no (?:mencionado|"
        r"especificado)"
    ),
    "Italian": (
        r"non (?:lo )?so\b|non (?:è|viene|sono) (?:\w+ )?(?:menzionat|indicat|specificat|dett|"
        r"precisat|riportat|presente|nel testo)\w*|il testo non (?:lo )?(?:dice|menziona|indica|"
        r"specifica|fornisce|contiene)|non (?:ci sono|c'è|si fa|si può|è "
        r"possibile)\b.*(?:informazion|menzion|rispost|dire|determinare|stabilire|rispondere)\w*|"
        r"^sconosciut[oa]$|nessuna informazione"
    ),
    "Portuguese": (
        r"não (?:sei|consta|há (?:informaç|respost|menç)|é (?:mencionad|informad|especificad|dit|"
        r"possível)|foi (?:mencionad|informad|especificad)|está (?:\w+ )?no texto|se (?:menciona|"
        r"sabe|diz))|o texto não (?:diz|menciona|informa|especifica|fornece|indica)|"
        r"^desconhecid[oa]$|não (?:mencionado|informado|especificado)"
    ),
    "Dutch": (
        r"(?:weet|zou) (?:ik )?(?:het )?niet|niet (?:\w+ )?(?:vermeld|genoemd|bekend|in de tekst|"
        r"aangegeven|gegeven|duidelijk|te bepalen|te beantwoorden)|de tekst (?:\w+ )?(?:zegt|"
        r"vermeldt|noemt|geeft)\b.*\b(?:niet|niets|geen)\b|geen (?:informatie|antwoord|"
        r"vermelding)|^onbekend$"
    ),
    "Polish": (
        r"nie wiem|nie (?:podano|wspomniano|określono|ma (?:informacji|odpowiedzi|tego|mowy)|"
        r"wiadomo|można (?:określić|ustalić|odpowiedzieć))|tekst nie (?:mówi|podaje|wspomina|"
        r"zawiera|określa)|brak (?:informacji|odpowiedzi|danych)|^nieznan[yea]$|w tekście nie"
    ),
    "Swedish, Danish, Norwegian": (
        r"(?:jag|jeg) vet? (?:det )?(?:inte|ikke)|(?:nämns|anges|framgår|står|nevnes|nævnes|"
        r"fremgår|angis|oppgis) (?:inte|ikke|det inte|det ikke)|(?:texten|teksten) (?:säger|"
        r"nämner|anger|sier|siger|nevner|nævner|oppgir)\b.*\b(?:inte|ikke|inget|ingenting|"
        r"intet)\b|ing(?:en|a) (?:information|uppgift|informasjon|oplysninger|opplysninger)|"
        r"^(?:okänt|ukjent|ukendt)$|(?:inte|ikke) (?:nämnt|angivet|i texten|nevnt|nævnt|oppgitt|"
        r"i teksten)"
    ),
    "Russian": (
        r"не (?:знаю|указан\w*|упомина\w*|сказано|говорится|упомянут\w*|известно|сообщается|"
        r"содержится|приводится|определить)|нет (?:информации|ответа|данных|упоминани\w*|"
        r"сведений)|(?:невозможно|нельзя) (?:\w+ )?(?:определить|сказать|ответить|установить)|"
        r"^неизвестно$|(?:нет|отсутствует) в тексте|в тексте (?:этого )?нет\b"
    ),
    "Ukrainian": (
        r"не (?:знаю|вказано|згад\w+|сказано|зазначен\w*|відомо)|немає (?:інформації|відповіді|"
        r"даних)|^невідомо$|неможливо (?:визначити|сказати)"
    ),
    "Czech": (
        r"nevím|není (?:\w+ )?(?:uveden|zmíněn|známo|v textu)\w*|text (?:ne\w+)|žádné informace|"
        r"^neznám[éýá]$"
    ),
    "Turkish": (
        r"bilmiyorum|(?:belirtilme|bahsedilme|söylenme|verilme|yer alm|geçm|bulunm)\w*(?:iyor|"
        r"ıyor|uyor|miş|mış|emektedir|amaktadır)|bilgi (?:yok|verilme|bulunma)\w*|^(?:bilinmiyor|"
        r"belirsiz)$|metinde yok"
    ),
    "Arabic": (
        r"لا (?:أعرف|أعلم|أدري|يذكر|توجد? (?:معلومات|إجابة|ذكر)|يحتوي|يمكن(?:ني)? (?:تحديد|معرفة|"
        r"الإجابة))|ليس(?:ت)? (?:مذكور\w* )?في النص|غير (?:مذكور|معروف|محدد|موجود|متوفر)\w*|"
        r"لم (?:يذكر|يرد|تذكر|يتم ذكر|يحدد)"
    ),
    "Hebrew": (
        r"(?:איני|אינני|לא) יודע\w*|לא (?:צוין|מצוין|מוזכר|נאמר|מופיע|ידוע|ניתן (?:לדעת|לקבוע))|"
        r"אין (?:מידע|תשובה)"
    ),
    "Persian": (
        r"نمی\s?دانم|(?:ذکر|اشاره|بیان|مشخص|گفته) (?:ن?شده نیست|نشده|نمی\s?شود)|"
        r"اطلاعاتی .*(?:نیست|ندارد|وجود ندارد)|در متن نیست"
    ),
    "Hindi": (
        r"(?:नहीं|नही) (?:पता|मालूम|जानता|जानती|बताया|दिया|कहा|है पाठ|मिल|दी गई)|(?:उल्लेख|"
        r"जानकारी|उत्तर|जवाब) (?:\S+ ){0,3}(?:नहीं|नही)|^अज्ञात$|पाठ में नहीं"
    ),
    "Chinese": (
        r"不知道|不清楚|[没沒]有(?:明确|明確|具体|具體|直接)?(?:提到|提及|说明|說明|指出|给出|"
        r"給出|提供|写明|相关|相關|足够|足夠|信息|答案|记载|記載)|未(?:明确|明確|具体|直接|"
        r"曾)?(?:提及|提到|说明|說明|指出|给出|給出|提供|知)|(?:无法|無法|不能|不可)(?:从\S*|"
        r"從\S*|根据\S*)?(?:确定|確定|回答|得知|判断|判斷|推断|推斷|得出)|(?:不在|没有在|"
        r"沒有在)(?:文|原文|文本|文中|文章)|(?:无|無|没有|沒有)(?:相关|相關)?(?:信息|资讯|資訊|"
        r"答案)"
    ),
    "Japanese": (
        r"(?:わか|分か|判)りません|わからない|分からない|不明(?:です|である)?$|知りません|(?:記載|"
        r"言及|記述|説明|情報|答え|回答|記述)\S{0,6}(?:ありません|ない|なし|されていません|"
        r"見つかりません|含まれていません)|(?:書かれて|述べられて|触れられて|示されて|記されて|"
        r"載って)い(?:ません|ない)|(?:特定|判断|回答|答えることは?|お答え)\S{0,4}でき(?:ません|"
        r"ない)"
    ),
    "Korean": (
        r"모르겠|모릅니다|알 수 없|(?:언급|명시|제시|기재|나와|기술|설명|제공)\S{0,6} ?(?:않|없)|"
        r"(?:정보|내용|답|언급)\S{0,2} ?(?:\S+ )?없(?:습니다|다|음|어요)|답할 수 없|확인할 수 없"
    ),
    "Vietnamese": (
        r"không (?:biết|được (?:đề cập|nêu|nhắc|nói|cung cấp)|có (?:thông tin|câu trả lời|trong)|"
        r"đề cập|nêu rõ|rõ|thể (?:xác định|trả lời|biết))"
    ),
    "Indonesian, Malay": (
        r"(?:saya )?tidak (?:tahu|disebutkan|dijelaskan|diketahui|ada (?:informasi|jawaban|"
        r"keterangan)|menyebutkan|dapat (?:ditentukan|menentukan|menjawab)|terdapat)|^tidak jelas$"
    ),
    "Thai": (
        r"ไม่(?:ทราบ|รู้|ได้(?:ระบุ|กล่าวถึง|บอก|ให้ข้อมูล)|มี(?:ข้อมูล|คำตอบ|การ(?:ระบุ|"
        r"กล่าวถึง))|ปรากฏ|สามารถ(?:ระบุ|ตอบ|บอก))"
    ),
    "Greek": (
        r"δεν (?:ξέρω|γνωρίζω|αναφέρεται|προσδιορίζεται|υπάρχ\w+ (?:πληροφορ|απάντησ)\w*|λέει|"
        r"μπορ\w+ να)|^άγνωστο$"
    ),
    "Hungarian": (
        r"nem (?:tudom|említi|szerepel|derül ki|ismert|található|lehet (?:megállapítani|tudni))|"
        r"nincs (?:\w+ )?(?:információ|válasz|adat)"
    ),
    "Romanian": (
        r"nu (?:știu|stiu|se (?:menționează|precizează|specifică|știe)|este (?:menționat|precizat|"
        r"specificat|în text)|există informații)|textul nu"
    ),
    "Finnish": (
        r"en tiedä|ei (?:mainita|kerrota|sanota|ilmoiteta|ole (?:tietoa|mainittu|tekstissä)|"
        r"voida (?:määrittää|sanoa))|^tuntematon$"
    ),
}
